"""Manifests of the remote copy taken over into the home, and what happens to those of the home that are in the way."""

from __future__ import annotations

import logging

import msgspec

from maos_ckpt.errors import FormatError, IntegrityError, MissingObjectError
from maos_ckpt.repository.manifests import MANIFEST_BYTES_MAX, decode_manifest
from maos_ckpt.repository.repository import Repository

_LOG = logging.getLogger(__name__)


def adopt(repository: Repository, name: str, data: bytes, above: int) -> None:
    """Take a manifest over; the caller holds the home's lease. One that cannot be read is taken over, too: it shows as
    damaged, and nothing that it may need is removed.

    Args:
        above: a checkpoint that this home committed under the same number gets one above this, and above all others.
    """
    try:
        mine = repository.backend.read(name, MANIFEST_BYTES_MAX)
    except MissingObjectError:
        mine = None
    if mine == data:
        return
    if mine is not None:
        _renumber(repository, name, above)
    repository.put_manifest(name, data)


def _renumber(repository: Repository, name: str, above: int) -> None:
    """Commit a checkpoint again under another number, since another machine's has been replicated under its own."""
    try:
        data = repository.manifest_bytes(name)
    except (IntegrityError, FormatError):
        # It was of no use to anybody.
        return
    if data is None:
        return
    manifest = decode_manifest(data, name, repository.sealer)
    if any(one.id == manifest.id and one.seq != manifest.seq for one in repository.checkpoints()):
        # A crash came between the two steps of this.
        return
    seq = max(repository.next_seq(), above + 1)
    repository.commit(msgspec.structs.replace(manifest, seq=seq))
    # Nothing to do for anybody: the id, by which it is known, stays what it was.
    _LOG.info("%s is number %d now: another machine's checkpoint has number %d.", manifest.id, seq, manifest.seq)
