"""The options that say which part of a checkpoint is meant: reading them, and writing them again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maos_ckpt.model import Selection

#: The values of `model.MergePolicy`, which takes longer to load than help may take; the first is the default.
MERGE_POLICIES = ("replace", "add-missing", "keep-newer")

#: Option → (its place in the parsed arguments and field of a selection, metavar, help); all repeatable.
_NAMED = {
    "--component": ("component", "components", "C", "this component; repeatable"),
    "--record": (
        "record",
        "records",
        "COMPONENT/COLLECTION/KEY-GLOB",
        "records that match, besides those of --component; repeatable",
    ),
    "--search": (
        "search",
        "searches",
        "TEXT",
        "records that contain this, then or now; a transcript whole; repeatable",
    ),
    "--agent": (
        "agent",
        "agents",
        "ID",
        "this agent with its sessions, transcripts, messages, tasks and memory; repeatable",
    ),
    "--orchestration": (
        "orchestration",
        "orchestrations",
        "ID",
        "this orchestration with all of its agents; repeatable",
    ),
    "--field": (
        "field",
        "fields",
        "COMPONENT/COLLECTION/KEY:COLUMN.NAME[INDEX]",
        "this value alone, a column or a place in its JSON; repeatable",
    ),
}


def add_named(parser: argparse.ArgumentParser) -> None:
    """What is named of a checkpoint, or of a recovery."""
    for option, (place, _, metavar, text) in _NAMED.items():
        parser.add_argument(option, dest=place, metavar=metavar, action="append", default=[], help=text)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """What a recovery takes."""
    add_named(parser)
    text = "what becomes of live records that differ; by default replace, that is: as in the checkpoint"
    parser.add_argument("--merge", choices=MERGE_POLICIES, default=MERGE_POLICIES[0], help=text)


def named_of(arguments: argparse.Namespace) -> Selection:
    """What the options of `add_named` mean."""
    from maos_ckpt.model import MergePolicy, Selection

    named = {field: tuple(getattr(arguments, place)) for place, field, _, _ in _NAMED.values()}
    return Selection(**named, exact=False, with_dependencies=False, merge=MergePolicy.REPLACE)


def selection_of(arguments: argparse.Namespace) -> Selection:
    """What the options of `add_selection` mean."""
    from dataclasses import replace

    from maos_ckpt.model import MergePolicy

    return replace(
        named_of(arguments),
        exact=arguments.exact,
        with_dependencies=arguments.with_dependencies,
        merge=MergePolicy(arguments.merge),
    )


def words_of(selection: Selection) -> list[str]:
    """The options that mean a selection."""
    words: list[str] = []
    for name, (_, field, _, _) in _NAMED.items():
        words += option(name, getattr(selection, field))
    words += ["--with-dependencies"] if selection.with_dependencies else []
    words += ["--exact"] if selection.exact else []
    return words if selection.merge.value == MERGE_POLICIES[0] else [*words, "--merge", selection.merge.value]


def option(name: str, values: Sequence[str]) -> list[str]:
    """An option as typed, once for each value; a value that begins like an option is tied to it."""
    return [word for one in values for word in ([f"{name}={one}"] if one.startswith("-") else [name, one])]
