"""Packs that nobody needs any more, taken out of the remote copy in two steps.

First it is announced in one object, `doomed/packs.json`, that they will go; only after a grace period they do. So a
recovery on another machine that began before ends well, and a writer that takes over from one that is only slow does
not count on what the slow one may still delete.
"""

from __future__ import annotations

import hashlib
import logging

import msgspec

from maos_ckpt.backends.base import is_name
from maos_ckpt.codec.crypto import Kind
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError, LeaseHeldError, MissingObjectError
from maos_ckpt.repository.remote import RemoteCopy, Timing
from maos_ckpt.repository.remote_lease import RemoteLease

_LOG = logging.getLogger(__name__)
#: From the announcement to the deletion, where the settings say nothing else.
GRACE_S = Timing().grace_s
NAME = "doomed/packs.json"
#: SHA-256 of what others were told last.
_TOLD = "announced"
_BYTES_MAX = 64 << 20


def read_doomed(remote: RemoteCopy) -> dict[str, int]:
    """What is announced: names of packs, each with the wall time of its announcement in milliseconds.

    An announcement that cannot be read, or is not sealed as this repository's objects are, is none: what it named is
    doomed again when somebody prunes.
    """
    try:
        data = remote.sealer.open_object(Kind.DOOMED, NAME, remote.backend.read(NAME, _BYTES_MAX))
        found = msgspec.json.decode(data, type=dict[str, int])
    except MissingObjectError:
        return {}
    except (IntegrityError, *UNDECODABLE):
        _LOG.warning("The announcement %s in the remote copy is damaged; it is written anew.", NAME)
        return {}
    return {name: since_ms for name, since_ms in found.items() if name.startswith("packs/") and is_name(name)}


def announce(remote: RemoteCopy, doomed: dict[str, int], now_ms: int) -> None:
    """Make these packs the ones that others know as doomed, where that has changed; 0 stands for now."""
    told = {name: since_ms or now_ms for name, since_ms in sorted(doomed.items())}
    data = msgspec.json.encode(told)
    digest = hashlib.sha256(data).hexdigest()
    if remote.memory.fact(_TOLD) == digest or (not told and not remote.memory.fact(_TOLD)):
        return
    # Until the answer is here, nobody knows what others are told.
    remote.memory.set_fact(_TOLD, "?")
    remote.backend.replace(NAME, remote.sealer.seal_object(Kind.DOOMED, NAME, data))
    remote.memory.doom([name for name, since_ms in doomed.items() if not since_ms], now_ms)
    remote.memory.set_fact(_TOLD, digest)


def take_back(remote: RemoteCopy, name: str, now_ms: int) -> None:
    """A doomed pack is needed again: others know before anything counts on it, and only then is it sent anew."""
    # What is not announced yet stays so: the manifests that needed it may still be there.
    told = {one: since_ms for one, since_ms in remote.memory.doomed("packs").items() if since_ms and one != name}
    announce(remote, told, now_ms)
    remote.memory.remove([name])


def know_announced(remote: RemoteCopy, announced: dict[str, int]) -> None:
    """Remember what is announced as told: the next announcement is written if it says anything else."""
    data = msgspec.json.encode(dict(sorted(announced.items())))
    remote.memory.set_fact(_TOLD, hashlib.sha256(data).hexdigest() if announced else "")


def remove_doomed(remote: RemoteCopy, lease: RemoteLease, doomed: dict[str, int], now_ms: int) -> int:
    """Announce what is doomed, and delete what has been announced for long enough; how many packs went.

    Args:
        doomed: those that were remembered as such before packs were looked for to be sent, and still are. What is
            still needed of a pack is in another one before it is doomed, so that one has been sent; and a manifest is
            always doomed before its packs, so none is left there that needs one of these.

    Raises:
        LeaseHeldError: another machine writes to this system by now; nothing was deleted.
    """
    if not doomed and not remote.memory.fact(_TOLD):
        return 0
    if not lease.check():
        raise LeaseHeldError(
            "Another machine writes to this system by now.", kept="Nothing was deleted from the remote copy."
        )
    announce(remote, doomed, now_ms)
    due = [name for name, since_ms in doomed.items() if since_ms and now_ms - since_ms >= remote.timing.grace_s * 1000]
    if due:
        remote.backend.delete(*due)
        remote.memory.remove(due)
        announce(remote, {name: doomed[name] for name in doomed.keys() - set(due)}, now_ms)
    return len(due)
