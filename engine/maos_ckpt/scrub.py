"""A look at all stored objects in turn: a slice now and then, so that each is read again within some days.

How far it has come is remembered in an expendable file, `cache/scrub.json`; without it a round begins anew. Time that
went by without a scrub makes the next slice larger, up to a bound.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import msgspec

from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import PermissionRefusedError, UnavailableError
from maos_ckpt.integrity.tiers import Tier, local_tier, remote_tier
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER, VerifyLevel, VerifyResult, VerifyTier
from maos_ckpt.repository.cache_place import NAME as CACHE
from maos_ckpt.repository.cache_place import keep
from maos_ckpt.repository.repository import Repository
from maos_ckpt.verify import verify

#: How often a slice is due.
EVERY_S = 3600.0
#: Most that one slice reads of a tier, in stored bytes; one object is always read.
SLICE_BYTES_MAX = 1 << 30
#: Names of damaged objects that are remembered.
DAMAGED_MAX = 100
_STATE = "scrub.json"
_STATE_BYTES_MAX = 1 << 20
_DAY_S = 86_400.0


class Round(msgspec.Struct):
    """How far the look at one tier has come: `position` is the last name looked at, `at_ms` when that was.

    `read` and `total` are stored bytes of this round; `completed_at_ms` is when the last round ended; `damaged` names
    what was found damaged or missing and not found well since.
    """

    position: str = ""
    at_ms: int = 0
    read: int = 0
    total: int = 0
    completed_at_ms: int | None = None
    damaged: list[str] = []


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a slice read and found, and whether a round of some tier ended with it."""

    result: VerifyResult
    round_ended: bool


def scrub(
    repository: Repository, days: float, progress: ProgressSink = lambda _: None, *, remote: bool = True
) -> Scrubbed:
    """Look at the next slice of each tier, at the level *standard*; every object comes by once in `days`.

    Args:
        remote: whether the remote copy is looked at, too; where it does not answer its round stays where it is.
    """
    rounds = load_rounds(repository)
    now_ms = repository.seams.clock.now_ms()
    tiers = _tiers(repository, remote=remote)
    slices = {name: _slice(tier, rounds.setdefault(name, Round()), days, now_ms) for name, tier in tiers.items()}
    result = verify(
        repository,
        [],
        VerifyLevel.STANDARD,
        progress,
        tier=VerifyTier.ALL if REMOTE_TIER in tiers else VerifyTier.LOCAL,
        slices=slices,
    )
    unread = {REMOTE_TIER} if any(one.kind == "tier" for one in result.findings) else set()
    ended = False
    wrong = {(one.tier, one.object) for one in result.unrepaired}
    for name, looked_at in slices.items():
        if looked_at and name not in unread:
            ended |= _advance(
                rounds[name], tiers[name], looked_at, {what for tier, what in wrong if tier == name}, now_ms
            )
    _store(repository, rounds)
    return Scrubbed(result, ended)


def _tiers(repository: Repository, *, remote: bool) -> dict[str, Tier]:
    tiers = {LOCAL_TIER: local_tier(repository, complete=False)}
    if remote and repository.remote is not None:
        with contextlib.suppress(UnavailableError, PermissionRefusedError):
            tiers[REMOTE_TIER] = remote_tier(repository)
    return tiers


def _slice(tier: Tier, one: Round, days: float, now_ms: int) -> list[str]:
    """The next names of a tier, in order; no more than are left of the round."""
    total = sum(tier.there.get(name, 0) for name in tier.expected)
    since_s = (now_ms - one.at_ms) / 1000 if one.at_ms else EVERY_S
    share = min(max(since_s, 0.0) / (days * _DAY_S), 1.0)
    quota = min(total * share, SLICE_BYTES_MAX)
    taken: list[str] = []
    size = 0
    for name in sorted(name for name in tier.expected if name > one.position):
        if taken and size >= quota:
            break
        taken.append(name)
        size += tier.there.get(name, 0)
    return taken


def _advance(one: Round, tier: Tier, looked_at: list[str], wrong: set[str], now_ms: int) -> bool:
    """Note what was looked at; whether the round ended with it."""
    still = [name for name in one.damaged if name not in looked_at]
    one.damaged = [*still, *(name for name in looked_at if name in wrong)][:DAMAGED_MAX]
    one.read += sum(tier.there.get(name, 0) for name in looked_at)
    one.total = sum(tier.there.get(name, 0) for name in tier.expected)
    one.position, one.at_ms = looked_at[-1], now_ms
    if one.position < max(tier.expected):
        return False
    one.position, one.read, one.completed_at_ms = "", 0, now_ms
    return True


def forget_damage(repository: Repository) -> None:
    """A look at everything has found nothing wrong."""
    rounds = load_rounds(repository)
    if any(one.damaged for one in rounds.values()):
        for one in rounds.values():
            one.damaged = []
        _store(repository, rounds)


def load_rounds(repository: Repository) -> dict[str, Round]:
    """The rounds under way by tier; none where they cannot be read."""
    with contextlib.suppress(OSError, *UNDECODABLE):
        path = repository.path / CACHE / _STATE
        if path.stat().st_size <= _STATE_BYTES_MAX:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Round])
    return {}


def _store(repository: Repository, rounds: dict[str, Round]) -> None:
    """Remember the rounds; a failure only costs looking at the same slice again."""
    if repository.read_only:
        return
    keep(repository.backend, _STATE, msgspec.json.encode(rounds))
