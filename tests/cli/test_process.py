"""The process around a command: signals, streams, leases, and what nobody expected."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maos_ckpt.cli import main as mains
from maos_ckpt.cli.failures import as_crash
from tests.cli.conftest import TIMEOUT_S, Cli


def test_a_lease_that_another_process_holds(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("save")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl,sys,time\n"
            "f=open(sys.argv[1],'r+'); fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True); time.sleep(120)",
            str(cli.repository / "lease"),
        ],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        # Looking needs no lease.
        assert len(cli.ok("list", "--json").json["checkpoints"]) == 1
        script = (
            "import sys\n"
            "from maos_ckpt.operations import workspace\n"
            "workspace.LEASE_WAIT_S = 0.2\n"
            "from maos_ckpt_tui.__main__ import main\n"
            "sys.argv = ['maos-ckpt', 'save', '--json']\n"
            "sys.exit(main())"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=cli.cwd,
            env=cli.environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        holder.kill()
    assert done.returncode == 4
    assert json.loads(done.stderr)["error"]["kind"] == "lease_held"
    cli.ok("save")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_130(cli: Cli, number: signal.Signals) -> None:
    cli.ok("save")
    script = (
        "import sys\n"
        "from maos_ckpt.operations import checkpoints\n"
        "def slow(*a, **k):\n"
        "    print('inside', flush=True)\n"
        "    from maos_ckpt.seams import SYSTEM\n"
        "    SYSTEM.clock.sleep(60)\n"
        "checkpoints.save_checkpoint = slow\n"
        "from maos_ckpt_tui.__main__ import main\n"
        "sys.argv = ['maos-ckpt', 'save']\n"
        "sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=cli.cwd,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "inside\n"
        process.send_signal(number)
        error = process.stderr.read()
        assert process.wait(TIMEOUT_S) == 130
    assert error.startswith("error: Interrupted.")
    assert "Traceback" not in error
    with cli.nothing_lost():
        cli.ok("save")


def test_output_that_nobody_reads_is_no_error(cli: Cli) -> None:
    cli.ok("save")
    with subprocess.Popen(
        cli.command("records", "latest", "--json"),
        cwd=cli.cwd,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT_S) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_exit_code_6(cli: Cli) -> None:
    cli.ok("save")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            cli.command("list"),
            cwd=cli.cwd,
            env=cli.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 6
    assert done.stderr.startswith("error: The output cannot be written")
    assert "Traceback" not in done.stderr


def test_an_unexpected_error_is_one_sentence_and_its_details_are_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def broken(*_: object) -> int:
        raise ValueError("state content: secret")

    monkeypatch.setattr(mains, "_run", broken)
    assert mains.main(["list", "--json"], lambda client, settings: 0) == 1
    captured = capsys.readouterr()
    error = json.loads(captured.err)["error"]
    assert error["kind"] == "internal"
    assert "ValueError" in error["message"]
    assert "secret" not in captured.err
    log = Path(error["data"]["log"])
    assert "state content: secret" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_an_unexpected_error_that_cannot_be_logged_still_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    error = as_crash(ValueError("x"), ["list"])
    assert error.data["log"] is None
    assert "--log-level debug" in error.hint


def test_a_full_output_is_told_apart_from_a_full_repository() -> None:
    assert as_crash(OSError(errno.ENOSPC, "No space left on device"), []).kind == "storage"


def test_a_working_directory_that_is_gone(empty: Cli) -> None:
    script = f"import os; os.rmdir({str(empty.cwd)!r}); os.execv({sys.executable!r}, {empty.command('list')!r})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=empty.cwd,
        env=empty.environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
