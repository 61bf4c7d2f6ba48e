"""What an engine tells about the integrity of what is stored, and a verification that is cancelled."""

from __future__ import annotations

import threading
from contextlib import closing

from maos_ckpt.errors import CkptError, InterruptedByUserError
from maos_ckpt.events import CheckpointCreated
from maos_ckpt.model import VerifyLevel
from maos_ckpt.operations.checkpoints import scrub
from maos_ckpt.scrub import EVERY_S
from tests.engine.conftest import MakeWorkspace
from tests.engine.support import WAIT_S, running, wait_until


def test_the_look_at_all_objects_is_told_with_what_it_read_and_when_it_goes_on(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=3600.0)
    with running(workspace) as (client, events):
        events.wait_for(CheckpointCreated)
        (before,) = client.integrity().coverage
        assert (before.looked_at_ms, before.next_at_ms, before.total_bytes) == (None, None, 0)
        read = scrub(workspace, lambda _: None)
        (after,) = client.integrity().coverage
        assert after.total_bytes > 0
        assert read.bytes > 0
        assert after.looked_at_ms is not None
        assert after.next_at_ms == after.looked_at_ms + EVERY_S * 1000
        assert after.damaged == ()


def test_a_verification_stops_when_it_is_cancelled(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=3600.0)
    raised: list[CkptError] = []
    with running(workspace) as (client, events):
        events.wait_for(CheckpointCreated)

        def verify() -> None:
            try:
                client.verify((), VerifyLevel.FULL)
            except CkptError as error:
                raised.append(error)

        thread = threading.Thread(target=verify)
        thread.start()
        wait_until(client.cancel_verification, "a verification to cancel")
        thread.join(WAIT_S)
        assert [type(one) for one in raised] == [InterruptedByUserError]
        assert client.integrity().runs == ()
        with closing(workspace.open_repository()) as repository:
            assert not any(one.state.value == "damaged" for one in repository.checkpoints())
        assert client.verify((), VerifyLevel.FULL).ok
