"""Reading and restoring providers in their own process, and holding it still."""

from __future__ import annotations

import asyncio
import http.server
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from maos_ckpt.config import Config
from maos_ckpt.config.types import Barrier
from maos_ckpt.errors import CkptError, SourceError, UsageError
from maos_ckpt.sources.provider.files import FrameReader, Record
from maos_ckpt.sources.provider.host import Captured, CapturedPart
from maos_ckpt.sources.provider.providers import provider_of
from maos_ckpt.sources.several import SEPARATOR, database_spec, join_specs, split_spec
from tests.engine.support import wait_until
from tests.library.managers import Endless, Growing, Hanging, Manager, Raising, Restless, host


def config(**barrier: Any) -> Config:
    return Config(barrier=Barrier(**barrier))


def by_component(captured: Captured) -> dict[str, CapturedPart]:
    return {one.component: one for one in captured.parts}


def items(part: CapturedPart) -> dict[Any, Any]:
    reader = FrameReader(Path(part.path), Record)
    found = {key: (value, form) for _, (key, value, form) in reader}
    reader.close()
    return found


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "maos_ckpt")


def test_what_fails_costs_only_itself_and_is_told(tmp_path: Path) -> None:
    hanging = Hanging(a=1)
    one = host(
        config(provider_timeout_s=0.5, provider_bytes_max=100_000),
        agents=Manager(a=1),
        memory=Raising(),
        queue=hanging,
        tasks=Manager(x={1, 2}),
        system=Endless(),
    )
    session = one.session()
    began_s = time.monotonic()
    found = by_component(session.capture(str(tmp_path)))
    assert time.monotonic() - began_s < 3
    assert items(found["agents"]) == {"a": (1, "plain")}
    assert {name: part.missing.split(":")[0] for name, part in found.items() if part.missing} == {
        "memory": "capture() raised ConnectionError",
        "queue": "capture() took longer than 0.5 s",
        "tasks": "tasks['x']",
        "system": found["system"].missing.split(":")[0],
    }
    assert "barrier.provider_bytes_max" in found["system"].missing
    assert "second line" not in found["memory"].missing
    # The one that hangs is not asked again before it has come back.
    again = by_component(session.capture(str(_fresh(tmp_path))))
    assert again["queue"].missing == "its last capture still hangs"
    assert hanging.captures == 1
    hanging.go_on.set()
    wait_until(lambda: all(future.done() for future in one.hanging.values()), "the hanging capture")
    assert by_component(session.capture(str(_fresh(tmp_path))))["queue"].missing == ""


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_one_that_wants_to_end_the_program_ends_nothing(error: BaseException, tmp_path: Path) -> None:
    def leave() -> None:
        raise error

    async def leave_later() -> None:
        raise error

    session = host(agents=leave, tasks=leave_later, queue=Manager(a=1)).session()
    found = by_component(session.capture(str(tmp_path)))
    assert type(error).__name__ in found["agents"].missing
    assert found["tasks"].missing
    assert found["queue"].missing == ""


def _fresh(directory: Path) -> Path:
    made = directory / f"next-{len(list(directory.iterdir()))}"
    made.mkdir()
    return made


@pytest.mark.parametrize("kind", [Restless, Growing])
def test_one_that_changes_while_it_is_read_is_read_again_and_in_the_end_left_out(kind: Any, tmp_path: Path) -> None:
    session = host(agents=kind(1, a=1, b=2), tasks=kind(1000, a=1, b=2)).session()
    found = by_component(session.capture(str(tmp_path)))
    assert {"a", "b"} <= items(found["agents"]).keys()
    assert found["tasks"].missing == "it changed while it was read, 3 times in a row"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([("a", 1), ("a", 2)], "came twice"),
        ([("a", 1, 2)], "no (key, value)"),
        ([(1.5, 1)], "a key of type float"),
        ([(True, 1)], "a key of type bool"),
        ([(1 << 64, 1)], "a key of type int"),
        ([("\ud800", 1)], "half a surrogate"),
        ("text", "which has no items"),
        (7, "which has no items"),
    ],
)
def test_items_that_are_no_records_are_refused(given: Any, why: str, tmp_path: Path) -> None:
    found = host(agents=lambda: given).session().capture(str(tmp_path))
    assert why in found.parts[0].missing


def test_a_capture_that_wants_to_end_the_program_only_ends_itself(tmp_path: Path) -> None:
    def leave() -> None:
        raise SystemExit(3)

    (part,) = host(agents=leave).session().capture(str(tmp_path)).parts
    assert part.missing.endswith("raised SystemExit: 3")


def test_files_of_records_are_private(tmp_path: Path) -> None:
    (part,) = host(agents=Manager(a=1)).session().capture(str(tmp_path)).parts
    assert Path(part.path).stat().st_mode & 0o777 == 0o600


def test_what_is_no_provider_is_a_wrong_call() -> None:
    for component, target in (("agents", 7), ("a/b", {}), ("database", {}), ("", {})):
        with pytest.raises(UsageError):
            provider_of(component, "test", target)


class Steps:
    """Notes what the hooks did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def quiesce(self) -> None:
        self.done.append("quiesce")

    async def resume(self) -> None:
        self.done.append("resume")


def test_the_outermost_hold_runs_the_hooks_once() -> None:
    steps = Steps()
    session = host(quiesce=steps.quiesce, resume=steps.resume).session()
    session.hold(recovery=True)
    session.hold()
    assert not session.let_go().expired
    assert steps.done == ["quiesce"]
    pause = session.let_go()
    assert steps.done == ["quiesce", "resume"]
    assert pause.held
    assert 0 < pause.pause_s < 5


def test_a_system_is_let_go_on_after_the_bound_whatever_happens() -> None:
    steps = Steps()
    session = host(config(hold_timeout_s=0.2), quiesce=steps.quiesce, resume=steps.resume).session()
    session.hold()
    wait_until(lambda: steps.done == ["quiesce", "resume"], "the resume hook")
    pause = session.let_go()
    assert pause.expired
    assert steps.done == ["quiesce", "resume"]


def test_closing_a_session_lets_go_and_gives_its_turn_to_the_next() -> None:
    steps = Steps()
    one = host(quiesce=steps.quiesce, resume=steps.resume)
    first = one.session()
    first.hold()
    first.hold()
    first.close()
    assert steps.done == ["quiesce", "resume"]
    second = one.session()
    second.hold()
    second.let_go()
    assert len(steps.done) == 4


@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_a_quiesce_hook_that_fails_leaves_the_system_running(how: str) -> None:
    steps, go_on = Steps(), threading.Event()

    def quiesce() -> None:
        if how == "raises":
            raise RuntimeError("not now")
        go_on.wait(60)

    one = host(config(hook_timeout_s=0.3), quiesce=quiesce, resume=steps.resume)
    with pytest.raises(SourceError, match=r"not now|longer than 0\.3 s"):
        one.session().hold()
    go_on.set()
    assert steps.done == ["resume"]
    assert one.turn.acquire(timeout=1)


def test_a_quiesce_hook_that_takes_hold_too_late_is_answered_by_a_resume() -> None:
    gate = threading.Lock()
    gate.acquire()
    one = host(config(hook_timeout_s=0.2), quiesce=gate.acquire, resume=gate.release)
    # The first resume lets go of what the test itself holds, so that the hook gets hold of it after all.
    with pytest.raises(SourceError, match=r"longer than 0\.2 s"):
        one.session().hold()
    wait_until(lambda: not gate.locked(), "the late hook's resume")
    assert gate.acquire(timeout=1)


def test_a_resume_hook_that_fails_is_run_again_and_told() -> None:
    calls = []

    def resume() -> None:
        calls.append(1)
        raise OSError("stuck")

    session = host(resume=resume).session()
    session.hold()
    assert session.let_go().note == "The resume hook failed (OSError: stuck)."
    assert len(calls) == 2


def test_programs_and_requests_hold_still_too(tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(503 if self.path == "/refuse" else 204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    touch = (sys.executable, "-c", "import pathlib,sys; pathlib.Path(sys.argv[1]).touch()")
    try:
        session = host(
            config(
                quiesce_url=f"{url}/quiesce?now",
                resume_url=f"{url}/resume",
                quiesce_command=(*touch, str(tmp_path / "held")),
                resume_command=(*touch, str(tmp_path / "released")),
            )
        ).session()
        session.hold()
        assert (tmp_path / "held").exists()
        assert not (tmp_path / "released").exists()
        session.let_go()
        assert (tmp_path / "released").exists()
        assert asked == ["/quiesce?now", "/resume"]
        with pytest.raises(SourceError, match="answered with 503"):
            host(config(quiesce_url=f"{url}/refuse")).session().hold()
    finally:
        server.shutdown()
        server.server_close()


def test_specs_join_and_come_apart() -> None:
    spec = join_specs(["provider:managers", "maos:/srv/team"])
    assert spec == f"maos:/srv/team{SEPARATOR}provider:managers"
    assert split_spec(spec) == ("maos:/srv/team", "provider:managers")
    assert database_spec(spec) == "maos:/srv/team"
    assert database_spec("provider:managers") == ""
    assert database_spec("maos:/a + b") == "maos:/a + b"
    for wrong in (["maos:/a", "sqlite:/b"], ["provider:a", "provider:a"], ["maos:/a + b", "provider:x"]):
        with pytest.raises(UsageError):
            join_specs(wrong)


def test_a_barrier_of_the_configuration_is_read_from_camel_case_too(tmp_path: Path) -> None:
    from maos_ckpt.config import load

    given = {"barrier": {"holdTimeoutS": 2, "quiesceUrl": "http://localhost/q"}, "intervalSeconds": 9}
    found = load(cwd=tmp_path, given=given, variables={}).config
    assert (found.barrier.hold_timeout_s, found.interval_seconds) == (2, 9)
    with pytest.raises(CkptError, match="http"):
        load(cwd=tmp_path, given={"barrier": {"quiesceUrl": "file:///etc/passwd"}}, variables={})
    assert load(cwd=tmp_path, given=found, variables={}).config is found
    assert msgspec.structs.asdict(found.barrier)["partial"] == "allow"
