"""One recovery at a time in an engine, and its cancelling at a safe point."""

from __future__ import annotations

import threading

import pytest

from maos_ckpt.errors import CkptError, InterruptedByUserError, RecoveryRunningError
from maos_ckpt.events import CheckpointCreated
from maos_ckpt.model import Selection
from tests.engine.conftest import MakeWorkspace
from tests.engine.support import WAIT_S, database, locked, running, wait_until
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact


def test_a_second_recovery_is_refused_and_the_first_can_be_cancelled(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=3600.0)
    path = database(workspace)
    raised: list[CkptError] = []
    with running(workspace) as (client, events):
        events.wait_for(CheckpointCreated)
        assert not client.cancel_recovery(), "there is none"
        mutate(path.parent, 0.2, seed=3)
        before = dump_exact(path)

        def recover() -> None:
            try:
                client.recover("latest", Selection(), digest=None, reason="")
            except CkptError as error:
                raised.append(error)

        first = threading.Thread(target=recover)
        with locked(path):
            first.start()
            wait_until(lambda: bool((one := client.status().running) and one.progress.phase == "stop writers"), "it")
            with pytest.raises(RecoveryRunningError) as refused:
                client.undo(digest=None, reason="")
            assert refused.value.data["phase"] == "stop writers"
            assert client.status().unfinished_recovery == ""
            assert client.cancel_recovery()
            first.join(WAIT_S)
        assert [type(one) for one in raised] == [InterruptedByUserError]
        assert dump_exact(path) == before
        assert client.recover("latest", Selection(), digest=None, reason="").verified
