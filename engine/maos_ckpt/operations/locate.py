"""From settings to a workspace: which source, and which repository."""

from __future__ import annotations

import os
from pathlib import Path

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.config import Config, Settings
from maos_ckpt.environment import expanded
from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.operations.named import NamedProviders, check_spec
from maos_ckpt.operations.remotes import S3_SCHEME, default_home, effective, ensure_home, remote_settings
from maos_ckpt.operations.unlocking import Ask, KeyHolder
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.header import read_header
from maos_ckpt.repository.remote_file import remembered_location
from maos_ckpt.seams import Seams
from maos_ckpt.sources.several import PROVIDER, database_spec, join_specs, split_spec
from maos_ckpt.sources.spec import default_spec, open_source

#: The repository's folder beside its source.
REPOSITORY_NAME = ".maos-ckpt"
_NAMED_MAX = 5
#: Kinds of source whose spec is a path.
_PATH_KINDS = ("maos", "sqlite")
_PROVIDER = f"{PROVIDER}:"


def locate(settings: Settings, cwd: Path, seams: Seams, ask: Ask | None = None, *, own: str = "") -> Workspace:
    """The workspace that the settings and the working directory name.

    The source is what the settings say, else the MAOS in the working directory, else the one whose checkpoints the
    repository holds: a MAOS whose database is gone can be recovered from its directory. `ask` asks the person at the
    terminal, if there is one, for a passphrase that the settings do not lead to. `own` is the spec of what the calling
    program itself has of the state.

    Raises:
        UsageError: no source and no repository, or a kind that this version does not have.
        NotFoundError: no source, and no repository in S3 where one is to be.
    """
    base = settings.file.parent if settings.file else cwd
    config = effective(settings.config)
    home = settings.config.claude_home or "~/.claude"
    claude_home = _absolute(home, cwd, base, settings.origins["claude_home"])
    spec = _source(settings, cwd, base, seams)
    if own:
        spec = join_specs([*split_spec(spec or ""), own])
    key = KeyHolder(ask)
    repository = _repository(config, settings.origins["storage.local.path"], cwd, base)
    names_remote = settings.config.storage.local.path.startswith(S3_SCHEME)
    if spec is not None and repository is None and names_remote:
        repository = _home_of(config, spec)
    named = [one for one in split_spec(spec or "") if one.startswith(_PROVIDER) and one != own]
    if named and own:
        raise UsageError("A program with managers names no provider.", hint="Give what it names as a manager, too.")
    if spec is not None and repository is None and not database_spec(spec):
        # Objects lie nowhere, so that nothing can lie beside them.
        repository = cwd / REPOSITORY_NAME
    if spec is None:
        remote = remote_settings(config)
        repository = repository or (default_home(remote) if remote else cwd / REPOSITORY_NAME)
        if not ensure_home(repository, remote, seams, key.unlocker(config)) and remote is not None:
            raise _nothing_there(config, remote.s3.location, seams)
        spec = _recorded_source(repository, seams)
    repository = repository or _beside(spec)
    host = NamedProviders(named, config, base, seams) if named else None
    return Workspace(repository, spec, claude_home, config, seams, key, names_remote, host)


def _absolute(text: str, cwd: Path, base: Path, origin: str) -> Path:
    """A path as configured: relative to its file where a file names it, else to the working directory."""
    return Path(os.path.abspath((base if origin.startswith("file") else cwd) / expanded(text)))


def _source(settings: Settings, cwd: Path, base: Path, seams: Seams) -> str | None:
    sources = settings.config.sources
    if not sources:
        return default_spec(cwd)
    from_file = settings.origins["sources"].startswith("file")
    return join_specs(canonical_spec(one, base if from_file else cwd, seams) for one in sources)


def canonical_spec(text: str, base: Path, seams: Seams) -> str:
    """A spec with an absolute path free of symbolic links, or a provider's; whether anything is there is not looked at.

    Raises:
        UsageError: not a spec, or a kind that this version does not have.
    """
    kind, colon, rest = text.partition(":")
    if kind == PROVIDER and colon:
        check_spec(text)
        return text
    if kind not in _PATH_KINDS or not rest or "\0" in rest:
        open_source(text, claude_home=base, seams=seams)
        raise AssertionError("open_source refuses what is no spec")
    return kind + colon + os.path.realpath(base / expanded(rest))


def _beside(spec: str) -> Path:
    """The default repository of a canonical spec."""
    kind, _, rest = database_spec(spec).partition(":")
    directory = Path(rest) if kind == "maos" else Path(rest).parent
    return directory / REPOSITORY_NAME


def _home_of(config: Config, spec: str) -> Path:
    """The home of a remote copy that was named itself: the one beside the source, unless that is of another copy."""
    beside, remote = _beside(spec), remote_settings(config)
    if remote is None:
        return beside
    known = remembered_location(beside / "cache" / "remote.sqlite")
    return beside if known in ("", remote.s3.location) else default_home(remote)


def _repository(config: Config, origin: str, cwd: Path, base: Path) -> Path | None:
    text = config.storage.local.path
    if "://" in text or text.lower().startswith(S3_SCHEME[:3]):
        raise UsageError(
            f"{text} is neither a local directory nor s3://BUCKET/PREFIX.",
            kept="Nothing was changed.",
            hint="Name a directory or an S3 prefix with --repo.",
            repository=text,
        )
    return _absolute(text, cwd, base, origin) if text else None


def _nothing_there(config: Config, location: str, seams: Seams) -> NotFoundError:
    # Loaded here: only who finds nothing needs it.
    from maos_ckpt.operations.systems import names_below

    names = names_below(config, seams, _NAMED_MAX + 1)
    others = [one for one in names if one != config.system][:_NAMED_MAX]
    if others:
        more = ", …" if len(names) > _NAMED_MAX else ""
        hint = f"Name a system with --system (there: {', '.join(others)}{more}); `maos-ckpt list --systems` tells more."
    else:
        hint = "Look at bucket and prefix; the first `maos-ckpt save` beside a MAOS makes one."
    return NotFoundError(
        f"There is no repository at {location}.", kept="Nothing was changed.", hint=hint, repository=location
    )


def _recorded_source(repository: Path, seams: Seams) -> str:
    try:
        recorded = read_header(LocalBackend(repository, seams)).source
        kind, _, path = database_spec(recorded).partition(":")
        if kind == "maos" and repository.name == REPOSITORY_NAME and not os.path.lexists(path):
            # The MAOS directory was moved, and its repository with it.
            return f"{kind}:{os.path.realpath(repository.parent)}"
        return recorded
    except NotFoundError as error:
        raise UsageError(
            f"There is neither a MAOS (a maos.db) nor a repository in {repository.parent}.",
            kept="Nothing was changed.",
            hint="Change to a MAOS directory, or name one with --source maos:DIR.",
        ) from error
