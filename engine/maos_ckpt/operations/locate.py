"""From settings to a workspace: which source, and which repository."""

from __future__ import annotations

import os
from pathlib import Path

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.config import Settings
from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.header import read_header
from maos_ckpt.seams import Seams
from maos_ckpt.sources.spec import default_spec, open_source

#: The repository's folder beside its source.
REPOSITORY_NAME = ".maos-ckpt"
#: Kinds of source whose spec is a path.
_PATH_KINDS = ("maos", "sqlite")


def locate(settings: Settings, cwd: Path, seams: Seams) -> Workspace:
    """The workspace that the settings and the working directory name.

    The source is what the settings say, else the MAOS in the working directory, else the one whose checkpoints the
    repository holds: a MAOS whose database is gone can be recovered from its directory.

    Raises:
        UsageError: no source and no repository, or a kind that this version does not have.
    """
    base = settings.file.parent if settings.file else cwd
    home = settings.config.claude_home or "~/.claude"
    claude_home = _absolute(home, cwd, base, settings.origins["claude_home"])
    spec = _source(settings, cwd, base, seams)
    repository = _repository(settings, cwd, base)
    if spec is None:
        repository = repository or cwd / REPOSITORY_NAME
        spec = _recorded_source(repository, seams)
    return Workspace(repository or _beside(spec), spec, claude_home, settings.config, seams)


def _absolute(text: str, cwd: Path, base: Path, origin: str) -> Path:
    """A path as configured: relative to its file where a file names it, else to the working directory."""
    return Path(os.path.abspath((base if origin.startswith("file") else cwd) / Path(text).expanduser()))


def _source(settings: Settings, cwd: Path, base: Path, seams: Seams) -> str | None:
    sources = settings.config.sources
    if len(sources) > 1:
        raise UsageError(
            "This version checkpoints one source at a time.",
            kept="Nothing was changed.",
            hint="Name one --source; a MAOS directory holds database, transcripts and files together.",
            sources=list(sources),
        )
    if not sources:
        return default_spec(cwd)
    from_file = settings.origins["sources"].startswith("file")
    return canonical_spec(sources[0], base if from_file else cwd, seams)


def canonical_spec(text: str, base: Path, seams: Seams) -> str:
    """A spec with an absolute path free of symbolic links; whether anything is there is not looked at.

    Raises:
        UsageError: not a spec, or a kind that this version does not have.
    """
    kind, colon, rest = text.partition(":")
    if kind not in _PATH_KINDS or not rest or "\0" in rest:
        open_source(text, claude_home=base, seams=seams)
        raise AssertionError("open_source refuses what is no spec")
    return kind + colon + os.path.realpath(base / Path(rest).expanduser())


def _beside(spec: str) -> Path:
    """The default repository of a canonical spec."""
    kind, _, rest = spec.partition(":")
    directory = Path(rest) if kind == "maos" else Path(rest).parent
    return directory / REPOSITORY_NAME


def _repository(settings: Settings, cwd: Path, base: Path) -> Path | None:
    text = settings.config.storage.local.path
    if "://" in text:
        raise UsageError(
            f"{text} is no local directory; this version keeps repositories in local directories only.",
            kept="Nothing was changed.",
            hint="Name a directory with --repo.",
            repository=text,
        )
    return _absolute(text, cwd, base, settings.origins["storage.local.path"]) if text else None


def _recorded_source(repository: Path, seams: Seams) -> str:
    try:
        return read_header(LocalBackend(repository, seams)).source
    except NotFoundError as error:
        raise UsageError(
            f"There is neither a MAOS (a maos.db) nor a repository in {repository.parent}.",
            kept="Nothing was changed.",
            hint="Change to a MAOS directory, or name one with --source maos:DIR.",
        ) from error
