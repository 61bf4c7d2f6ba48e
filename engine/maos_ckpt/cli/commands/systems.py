"""list --systems: the systems that share a prefix of a bucket."""

from __future__ import annotations

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import moment, name, rfc3339, table
from maos_ckpt.errors import ExitCode, NotFoundError
from maos_ckpt.operations.systems import System, find_systems


def systems(context: Context) -> int:
    """`maos-ckpt list --systems`."""
    found = find_systems(context.settings.config, context.seams)
    if context.out.as_json:
        context.out.document(
            {
                "location": found.location,
                "complete": found.complete,
                "systems": [_shape(one) for one in found.systems],
            }
        )
        return ExitCode.DONE
    if not found.complete:
        context.out.notice(f"warning: there are more systems below {name(found.location)} than are looked at")
    if not found.systems:
        raise NotFoundError(
            f"There is no system below {name(found.location)}.",
            kept="Nothing was changed.",
            hint="Look at the bucket and the prefix: systems lie one level below the prefix that they share.",
        )
    now_ms = context.seams.clock.now_ms()
    rows = [
        (
            one.name or "(the prefix itself)",
            f"{one.checkpoints:,}",
            moment(one.replicated_at_ms, now_ms) if one.replicated_at_ms is not None else "never",
            one.problem or one.source + (" (encrypted)" if one.encrypted else ""),
        )
        for one in found.systems
    ]
    head = ("SYSTEM", "CHECKPOINTS", "LAST REPLICATED", "SOURCE")
    context.out.lines(table(head, rows, right=frozenset({1}), width=context.width))
    return ExitCode.DONE


def _shape(one: System) -> dict[str, object]:
    return {
        "name": one.name,
        "location": one.location,
        "source": one.source or None,
        "repository": one.repository or None,
        "encrypted": one.encrypted,
        "checkpoints": one.checkpoints,
        "last_seq": one.newest,
        "last_replicated_at": None if one.replicated_at_ms is None else rfc3339(one.replicated_at_ms),
        "problem": one.problem or None,
    }
