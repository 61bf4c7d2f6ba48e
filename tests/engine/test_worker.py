"""How a worker reports, and when it stops."""

from __future__ import annotations

import io
import os

import pytest

from maos_ckpt import wire
from maos_ckpt.errors import InterruptedByUserError
from maos_ckpt.model import Progress
from maos_ckpt.worker import Reporter


def frames(stream: io.BytesIO) -> list[wire.Frame]:
    stream.seek(0)
    found = []
    while (body := wire.read_frame(stream)) is not None:
        found.append(wire.decode_frame(body))
    return found


def test_progress_is_thinned_out_but_every_phase_is_told() -> None:
    out = io.BytesIO()
    reporter = Reporter(out, finish=False)
    for phase in ("read", "store", "commit"):
        for number in range(1000):
            reporter.progress(Progress("save", phase, number))
    told = [frame.progress for frame in frames(out) if isinstance(frame, wire.ProgressFrame)]
    assert list(dict.fromkeys(one.phase for one in told)) == ["read", "store", "commit"]
    assert len(told) < 50


def test_a_reading_operation_stops_at_its_next_report() -> None:
    reporter = Reporter(io.BytesIO(), finish=False)
    reporter.progress(Progress("diff", "compare"))
    reporter.stop()
    with pytest.raises(InterruptedByUserError, match="The diff was stopped"):
        reporter.progress(Progress("diff", "compare"))


def test_a_writing_operation_goes_on() -> None:
    out = io.BytesIO()
    reporter = Reporter(out, finish=True)
    reporter.stop()
    reporter.progress(Progress("save", "commit"))
    assert len(frames(out)) == 1


@pytest.mark.parametrize("finish", [True, False])
def test_an_engine_that_is_gone_stops_only_those_that_read(finish: bool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as out:
        reporter = Reporter(out, finish=finish)
        reporter.progress(Progress("x", "first"))
        if finish:
            reporter.progress(Progress("x", "second"))
            reporter.send(wire.ProgressFrame(Progress("x", "third")))
        else:
            with pytest.raises(InterruptedByUserError):
                reporter.progress(Progress("x", "second"))
