"""Stored bytes that are no UTF-8, or nested without end, are damage like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from maos_ckpt.drill.reports import Reports, Schedule
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import CollectionKind, Descriptor
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.alone import already_running
from maos_ckpt.repository.descriptors import decode_descriptors, encode_descriptors
from maos_ckpt.repository.lease import owner_of
from maos_ckpt.seams import SYSTEM

NO_TEXT, ENDLESS = b'{"id":"\xff","host":"\xff","pid":1,"operation":"\xff"}', b'{"scenarios":' + b"[" * 100_000


@pytest.mark.parametrize("data", [NO_TEXT, ENDLESS], ids=["no text", "endless"])
def test_notes_beside_a_repository(tmp_path: Path, data: bytes) -> None:
    for folder in ("recovery", "drills"):
        (tmp_path / folder).mkdir()
    for name in ("recovery/intent.json", "recovery/progress.json", "drills/dr_1.json", "lock"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=r"recovery/intent\.json cannot be read"):
        journal.under_way(tmp_path)
    assert journal.pending(tmp_path) == ""
    assert already_running(tmp_path, SYSTEM).data == {}
    assert Reports(tmp_path, SYSTEM).status(Schedule(24.0)).state == "never"
    assert owner_of(tmp_path / "lock") is None


def test_a_stored_object_that_holds_no_text_where_there_has_to_be_one() -> None:
    one = Descriptor("agents", "agents", CollectionKind.TABLE, ("id",), ("name",), "agents")
    stored = encode_descriptors([one])
    assert decode_descriptors(stored) == [one]
    with pytest.raises(IntegrityError):
        decode_descriptors(stored.replace(b"agents", b"\xff" * 6))
