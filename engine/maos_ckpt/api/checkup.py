"""What `maos-ckpt doctor` finds about an engine's doors; nothing where nobody has asked for any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maos_ckpt.api.places import find_listening
from maos_ckpt.api.probe import probe
from maos_ckpt.api.tls import days_left, load_certificate
from maos_ckpt.api.tokens import Tokens
from maos_ckpt.config.types import Server
from maos_ckpt.doctor import Check, attempt
from maos_ckpt.engine.lock import engine_owner
from maos_ckpt.errors import ConfigError
from maos_ckpt.seams import Seams

#: A certificate is to be renewed by then; most are, a month before their end.
DAYS_LEFT_MIN = 14


def check_doors(repository: Path, settings: Server, path: Callable[[str], Path], seams: Seams) -> list[Check]:
    """The certificate, where one is configured; the tokens; and whether a running engine answers."""
    found = []
    if settings.tls_certificate:
        found.append(attempt("certificate", lambda: _certificate(settings, path, seams)))
    if (repository / "api").is_dir():
        found.append(attempt("tokens", lambda: _tokens(repository, seams)))
    owner, listening = engine_owner(repository), find_listening(repository)
    if owner is not None and listening is not None and owner.pid == listening.pid:
        well, said = probe(repository)
        found.append(Check("api", well, f"served at {', '.join(listening.addresses)}" if well else said))
    return found


def _certificate(settings: Server, path: Callable[[str], Path], seams: Seams) -> str:
    certificate = path(settings.tls_certificate)
    load_certificate(certificate, path(settings.tls_key) if settings.tls_key else certificate, seams.clock)
    days = days_left(certificate, seams.clock)
    if days < DAYS_LEFT_MIN:
        raise ConfigError(
            f"{certificate} ends in {days} days.", hint="Renew it; `systemctl reload`, or SIGHUP, takes the new one."
        )
    return f"{certificate} is valid for {days} days"


def _tokens(repository: Path, seams: Seams) -> str:
    count = len(Tokens(repository, seams).all())
    return f"{count} {'token' if count == 1 else 'tokens'}, stored as hashes"
