"""Which failure the status tells of: the newest one that nothing has made good since."""

from __future__ import annotations

from pathlib import Path

import pytest

from maos_ckpt import journal as journals
from maos_ckpt.events import CheckpointCreated, Event, OperationFailed, RecoveryCompleted
from maos_ckpt.journal import Journal
from maos_ckpt.operations.state import last_failure
from maos_ckpt.seams import SYSTEM

SAVED = CheckpointCreated(9, "cp_a", "manual", 1, 1, 1, 0.1, 0.0, False)
RECOVERED = RecoveryCompleted(9, "cp_a", "00", "cp_b", "", 1, True, False, 0.1)


@pytest.mark.parametrize(
    ("operation", "remedy", "other"),
    [
        ("save", SAVED, RECOVERED),
        ("restore", RECOVERED, SAVED),
        ("rescue", RECOVERED, SAVED),
        ("pin", SAVED, RECOVERED),
        ("key add", SAVED, RECOVERED),
        ("compact", SAVED, RECOVERED),
    ],
)
def test_a_failure_is_told_until_it_is_made_good(tmp_path: Path, operation: str, remedy: Event, other: Event) -> None:
    (tmp_path / journals.DIRECTORY).mkdir()
    journal = Journal(tmp_path, SYSTEM)
    journal.append(remedy)
    journal.append(OperationFailed(5, operation, "storage", "No space left."))
    journal.append(other)
    failure = last_failure(journal)
    assert failure is not None
    assert (failure.operation, failure.message, failure.at_ms) == (operation, "No space left.", 5)
    journal.append(remedy)
    assert last_failure(journal) is None
