"""The command line with a bucket: what it says of S3 when all is well, when S3 is away, and when nothing is there."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.servers import Server, moto_server
from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.test_service import running
from tests.lab.values import dump_exact

_PREFIXES = (f"teams-{number}" for number in itertools.count())
#: Nobody listens there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


def configure(cli: Cli, server: Server, prefix: str, *, system: str = "alpha", endpoint: str = "") -> Path:
    """A configuration file with a bucket beside the MAOS."""
    path = cli.cwd / "maos-ckpt.toml"
    path.write_text(
        f'system = "{system}"\n[storage.s3]\nbucket = "{server.bucket}"\nprefix = "{prefix}"\n'
        f'endpoint_url = "{endpoint or server.endpoint}"\n'
        f'access_key_id = "{server.access_key}"\nsecret_access_key = "{server.secret_key}"\n'
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def prefix() -> str:
    return next(_PREFIXES)


@pytest.fixture
def replicated(cli: Cli, moto: Server, prefix: str) -> Cli:
    """A MAOS whose first checkpoint is in the bucket, as system `alpha`; the engine has ended."""
    configure(cli, moto, prefix)
    with running(cli, "--headless", "--interval", "300") as engine:
        engine.wait_for("CheckpointsReplicated")
        assert engine.stop()[0] == 0
    return cli


@pytest.fixture
def elsewhere(tmp_path: Path, moto: Server) -> Cli:
    """A machine that has credentials and nothing else."""
    variables = {
        "AWS_ACCESS_KEY_ID": moto.access_key,
        "AWS_SECRET_ACCESS_KEY": moto.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MAOS_CKPT_STORAGE_S3_ENDPOINT_URL": moto.endpoint,
    }
    made = Cli(tmp_path / "elsewhere", tmp_path / "home-elsewhere", variables)
    made.cwd.mkdir()
    made.home.mkdir()
    return made


def test_what_is_in_the_bucket_is_told_as_replicated(replicated: Cli, moto: Server, prefix: str) -> None:
    (one,) = replicated.ok("list", "--json").json["checkpoints"]
    assert one["state"] == "replicated"
    assert "in s3" in replicated.ok("list").out
    assert "replicated: here and in s3" in replicated.ok("show", "latest").out
    status = replicated.ok("status", "--json").json
    local, s3 = status["tiers"]
    assert (local["name"], local["checkpoints"], local["path"]) == ("local", 1, str(replicated.repository))
    assert (s3["name"], s3["state"], s3["checkpoints"], s3["pending"]) == ("s3", "ok", 1, 0)
    assert s3["location"] == f"s3://{moto.bucket}/{prefix}/alpha"
    assert (s3["reason"], s3["since"], s3["next_try_at"]) == (None, None, None)
    assert s3["last_success_at"].endswith("Z")
    assert status["spool"].pop("bytes_max") > 0
    assert status["spool"] == {"pending": 0, "bytes": 0, "oldest_age_s": None}
    assert (s3["breaker"], s3["lease"], s3["scrub"]["due_at"]) == ("closed", None, None)
    told = replicated.ok("status").out
    for line in ("spool         empty", "breaker       closed, requests pass, since", "lease         held by nobody"):
        assert line in told
    assert "scrub         local: no full round yet" in told


def test_what_waits_is_told_without_an_engine(replicated: Cli, moto: Server, prefix: str) -> None:
    # The configuration names a place that does not answer, so nothing can get there, whatever `save` tries.
    configure(replicated, moto, prefix, endpoint=NOWHERE)
    replicated.execute("UPDATE agents SET status = 'odd'")
    saved = replicated.save()
    assert saved["state"] == "committed"
    status = replicated.ok("status", "--json").json
    s3 = status["tiers"][1]
    assert s3["pending"] == 1
    assert s3["pending_bytes"] == status["spool"]["bytes"] > saved["stored_bytes"]
    assert s3["oldest_pending_at"] == saved["created_at"]
    assert 0 <= status["spool"]["oldest_age_s"] < TIMEOUT_S
    assert "1 checkpoint (" in replicated.ok("status").out
    assert "waits; no engine is running" in replicated.ok("status").out


def test_a_bucket_that_is_away_is_told_and_no_save_fails(cli: Cli, moto: Server, prefix: str) -> None:
    configure(cli, moto, prefix, endpoint=NOWHERE)
    with running(cli, "--headless", "--interval", "0.5") as engine:
        engine.wait_for("ReplicationStalled")
        engine.wait_for("CheckpointCreated")
        s3 = cli.ok("status", "--json").json["tiers"][1]
        assert s3["state"] == "away"
        assert "cannot be reached" in s3["reason"]
        assert s3["since"] is not None
        assert s3["pending"] >= 1
        told = cli.ok("status").out
        assert "away for" in told
        assert "cannot be reached" in told
        assert engine.stop()[0] == 0


def test_status_of_a_new_machine_whose_bucket_is_away_is_no_failure(cli: Cli, moto: Server, prefix: str) -> None:
    configure(cli, moto, prefix, endpoint=NOWHERE)
    status = cli.ok("status", "--json").json
    assert [one["state"] for one in status["tiers"]] == ["ok", "away"]
    assert "cannot be reached" in status["tiers"][1]["reason"]
    assert not cli.repository.exists()


def test_the_systems_of_a_prefix_are_listed_by_name(replicated: Cli, elsewhere: Cli, moto: Server, prefix: str) -> None:
    url = f"s3://{moto.bucket}/{prefix}"
    found = elsewhere.ok("list", "--systems", "--repo", url, "--json").json
    assert (found["location"], found["complete"]) == (url, True)
    (alpha,) = found["systems"]
    assert (alpha["name"], alpha["location"], alpha["checkpoints"]) == ("alpha", f"{url}/alpha", 1)
    assert alpha["source"] == f"maos:{replicated.cwd}"
    assert (alpha["encrypted"], alpha["problem"], alpha["last_seq"]) == (False, None, 1)
    assert alpha["last_replicated_at"].endswith("Z")
    assert "alpha" in elsewhere.ok("list", "--systems", "--repo", url).out
    # The system's own prefix is that system alone.
    (itself,) = elsewhere.ok("list", "--systems", "--repo", f"{url}/alpha", "--json").json["systems"]
    assert (itself["name"], itself["repository"]) == ("", alpha["repository"])
    assert "(the prefix itself)" in elsewhere.ok("list", "--systems", "--repo", f"{url}/alpha").out
    # It only looks: nothing was made anywhere.
    assert list(elsewhere.cwd.iterdir()) == []


def test_what_is_no_system_is_passed_over_and_one_of_a_newer_version_is_named(
    replicated: Cli, elsewhere: Cli, moto: Server, prefix: str
) -> None:
    client = moto.client()
    for key, body in {
        "notes/readme.txt": b"hello",
        "\x1b]0;x/maos-ckpt.json": b"{}",
        "later/maos-ckpt.json": b'{"format": 99}',
        "torn/maos-ckpt.json": b'{"form',
    }.items():
        client.put_object(Bucket=moto.bucket, Key=f"{prefix}/{key}", Body=body)
    client.close()
    url = f"s3://{moto.bucket}/{prefix}"
    found = {one["name"]: one for one in elsewhere.ok("list", "--systems", "--repo", url, "--json").json["systems"]}
    assert set(found) == {"alpha", "later", "torn"}
    assert "format version 99" in found["later"]["problem"]
    assert "damaged" in found["torn"]["problem"]
    assert found["alpha"]["problem"] is None


def test_a_prefix_without_a_repository_says_which_systems_are_there(
    replicated: Cli, elsewhere: Cli, moto: Server, prefix: str
) -> None:
    url = f"s3://{moto.bucket}/{prefix}"
    error = elsewhere.fails(3, "list", "--repo", url)
    assert error["message"] == f"There is no repository at {url}."
    assert "--system (there: alpha)" in error["hint"]
    assert "alpha" in elsewhere.fails(3, "list", "--repo", url, "--system", "beta")["hint"]
    assert "bucket and prefix" in elsewhere.fails(3, "list", "--repo", f"{url}/nothing/here")["hint"]
    assert elsewhere.ok("list", "--systems", "--repo", f"{url}/nothing/here", "--json").json["systems"] == []
    # With the right name a new machine lists what the other one saved.
    (one,) = elsewhere.ok("list", "--repo", url, "--system", "alpha", "--json").json["checkpoints"]
    assert one["state"] == "replicated"


def test_the_command_that_applies_a_plan_means_the_same_system_in_the_same_store(
    replicated: Cli, elsewhere: Cli, moto: Server, prefix: str
) -> None:
    replicated.execute("UPDATE agents SET status = 'odd'")
    del elsewhere.variables["MAOS_CKPT_STORAGE_S3_ENDPOINT_URL"]
    place = ["--repo", f"s3://{moto.bucket}/{prefix}", "--system", "alpha", "--s3-endpoint", moto.endpoint]
    plan = elsewhere.ok("restore", "latest", "--component", "agents", "--dry-run", "--json", *place).json
    assert plan["plan"]["summary"]["modified"] > 0
    done = elsewhere.ok(*shlex.split(plan["command"])[1:], "--json").json
    assert done["verified"]


def test_a_checkpoint_of_a_bucket_is_built_at_another_place(
    replicated: Cli, elsewhere: Cli, moto: Server, prefix: str
) -> None:
    place = ["--repo", f"s3://{moto.bucket}/{prefix}", "--system", "alpha"]
    before, new = dump_exact(replicated.database), elsewhere.cwd / "new.db"
    replicated.execute("DELETE FROM tasks")
    plan = elsewhere.ok("restore", "latest", "--to", f"sqlite:{new}", "--dry-run", "--json", *place).json
    assert not new.exists()
    assert elsewhere.ok(*shlex.split(plan["command"])[1:], "--json").json["verified"]
    found = dump_exact(new)
    assert {name: found[name] for name in before if name != "sqlite_master"} == {
        name: rows for name, rows in before.items() if name != "sqlite_master"
    }
    elsewhere.ok("restore", "latest", "--to", f"maos:{elsewhere.cwd / 'team'}", "--component", "tasks", *place)
    assert dump_exact(elsewhere.cwd / "team" / "maos.db")["tasks"] == before["tasks"]
    assert replicated.ok("diff", "latest", "live", "--stat", "--json").json["summary"]["removed"] > 0


def test_a_removal_says_that_s3_is_not_touched_yet(replicated: Cli) -> None:
    for _ in range(2):
        replicated.execute("UPDATE agents SET status = status || 'x'")
        replicated.ok("save")
    assert "In S3 nothing is removed yet" in replicated.ok("delete", "latest", "--yes").err
    assert "In S3 nothing is removed yet" in replicated.ok("prune", "--keep-last", "1").err


@pytest.mark.parametrize(
    "url", ["s3:/bucket/x", "s3://", "s3://B_/x", "S3://bucket/x", "s3://bucket//x", "s3://bucket/a b", "gs://bucket/x"]
)
def test_a_url_that_is_none_is_bad_usage_with_a_hint(empty: Cli, url: str) -> None:
    assert empty.fails(2, "list", "--repo", url)["hint"]
    assert list(empty.cwd.iterdir()) == []


def test_another_bucket_than_the_homes_is_read_itself(replicated: Cli, moto: Server, prefix: str) -> None:
    place = ["--repo", f"s3://{moto.bucket}/{prefix}-other", "--system", "nobody", "--s3-endpoint", moto.endpoint]
    assert "no repository" in replicated.fails(3, "list", *place)["message"]
    assert len(replicated.ok("list", "--json").json["checkpoints"]) == 1


def test_a_maos_that_is_another_one_is_refused_before_anything_is_made(
    replicated: Cli, tmp_path: Path, moto: Server, prefix: str
) -> None:
    moved = Cli(tmp_path / "moved", tmp_path / "home")
    shutil.copytree(replicated.cwd, moved.cwd, ignore=shutil.ignore_patterns(".maos-ckpt"))
    for _ in range(2):
        refused = moved.fails(4, "save")
        assert "belongs to maos:" in refused["message"]
        assert f"rename {replicated.cwd}" in refused["hint"]
        assert "--system" in refused["hint"]
        assert not moved.repository.exists()
    moved.ok("save", "--system", "beta", "--repo", str(tmp_path / "of-its-own"))
    replicated.cwd.rename(tmp_path / "gone")
    assert moved.ok("save", "--json").json["checkpoint"]["seq"]
    assert len(moved.ok("list", "--json").json["checkpoints"]) == 2


def test_what_becomes_of_keys_in_the_bucket_is_told(cli: Cli, moto: Server, prefix: str) -> None:
    path = configure(cli, moto, prefix)
    path.write_text("encryption_enabled = true\n" + path.read_text())
    cli.variables |= {"MAOS_CKPT_ENCRYPTION_KEY": "env:FIRST", "FIRST": "one good passphrase"}
    cli.variables |= {"SECOND": "another good passphrase"}
    cli.ok("save")
    added = cli.ok("key", "add", "--new-key", "env:SECOND")
    assert "warning" not in added.err
    configure(cli, moto, prefix, endpoint=NOWHERE)
    path.write_text("encryption_enabled = true\n" + path.read_text())
    removed = cli.ok("key", "remove", added.out.split()[0])
    assert "the remote copy still opens with the keys from before" in removed.err
    assert "1 key slots wait" in cli.ok("status").out


def test_credentials_in_a_url_are_refused_and_not_repeated(empty: Cli) -> None:
    result = empty.run("list", "--repo", "s3://AKIAX:hush-hush@bucket/x")
    assert result.code == 2
    assert "hush" not in result.err
    assert "Credentials do not belong there." in result.err


def test_a_store_that_cannot_be_used_is_told_by_its_cause(elsewhere: Cli, moto: Server) -> None:
    url = f"s3://{moto.bucket}/x"
    missing = elsewhere.fails(6, "list", "--repo", "s3://no-such-bucket-here/x")
    assert "does not exist" in missing["message"]
    assert "cannot be reached" in elsewhere.fails(6, "list", "--repo", url, "--s3-endpoint", NOWHERE)["message"]
    assert "http" in elsewhere.fails(2, "list", "--repo", url, "--s3-endpoint", "localhost:9000")["message"]
    del elsewhere.variables["AWS_ACCESS_KEY_ID"], elsewhere.variables["AWS_SECRET_ACCESS_KEY"]
    refused = elsewhere.fails(7, "list", "--repo", url)
    assert "no credentials" in refused["message"]
    assert "access_key_id" in refused["hint"]


def doctor(cli: Cli, *more: str, code: int = 0) -> dict[str, tuple[bool, str]]:
    result = cli.run("doctor", "--json", *more)
    assert result.code == code, result.out
    return {one["name"]: (one["ok"], one["detail"]) for one in result.json["checks"]}


def test_the_doctor_tries_out_what_the_store_can_do(replicated: Cli) -> None:
    checks = doctor(replicated)
    s3 = {name: detail for name, (ok, detail) in checks.items() if name.startswith("s3") and ok}
    assert set(s3) == {
        "s3", "s3 credentials", "s3 read-back", "s3 ranges", "s3 listing", "s3 create-once", "s3 replace-if",
        "s3 clock", "s3 system", "s3 lease", "s3 cache",
    }  # fmt: skip
    assert "exactly one" in s3["s3 create-once"]
    assert s3["s3 clock"] == "the clocks agree"
    assert str(replicated.cwd) in s3["s3 system"]
    assert "gave it back" in s3["s3 lease"]


def test_the_doctor_in_read_only_mode_writes_nothing(replicated: Cli) -> None:
    checks = doctor(replicated, "--read-only")
    assert "nothing more was tried out" in checks["s3"][1]
    assert "s3 create-once" not in checks


def test_the_doctor_names_a_store_that_does_not_answer_and_a_cache_that_others_may_read(
    replicated: Cli, moto: Server, prefix: str
) -> None:
    cache = replicated.repository / "cache" / "reads"
    cache.mkdir(exist_ok=True)
    cache.chmod(0o755)
    configure(replicated, moto, prefix, endpoint=NOWHERE)
    checks = doctor(replicated, code=6)
    assert not checks["s3"][0]
    assert "cannot be reached" in checks["s3"][1]
    assert not checks["s3 cache"][0]
    assert "chmod 700" in checks["s3 cache"][1]
    assert checks["repository"][0]


def test_the_doctor_names_another_repository_in_this_ones_place(
    replicated: Cli, moto: Server, prefix: str, tmp_path: Path
) -> None:
    configure(replicated, moto, "unused")
    own = replicated.ok("save", "--json", "--repo", str(tmp_path / "other")).json["checkpoint"]
    assert own["id"]
    configure(replicated, moto, prefix)
    checks = doctor(replicated, "--repo", str(tmp_path / "other"), code=6)
    assert not checks["s3 system"][0]
    assert "another repository" in checks["s3 system"][1]


def test_without_a_bucket_nothing_of_boto3_is_loaded(cli: Cli) -> None:
    code = (
        "import sys; from maos_ckpt.cli.main import main; "
        "codes = [main([word], None) for word in ('save', 'doctor', 'status', 'list')]; "
        "sys.exit(str(codes) if 'boto3' in sys.modules or 'botocore' in sys.modules or any(codes) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cli.cwd, env=cli.environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


# The configuration's secrets


def test_a_secret_shows_nowhere(cli: Cli, moto: Server) -> None:
    path = configure(cli, moto, "x")
    path.write_text(path.read_text().replace(f'secret_access_key = "{moto.secret_key}"', "secret_access_key = 'hush'"))
    for words in (["config", "show"], ["config", "show", "--origin"], ["config", "show", "--json"]):
        result = cli.ok(*words)
        assert "hush" not in result.out + result.err
        assert "set, not shown" in result.out
    values = {one["key"]: one["value"] for one in cli.ok("config", "show", "--json").json["values"]}
    assert values["storage.s3.secret_access_key"] == "set, not shown"


def test_a_secret_that_others_may_read_is_warned_of_once_and_by_the_doctor(cli: Cli, moto: Server) -> None:
    path = configure(cli, moto, "x", endpoint=NOWHERE)
    path.chmod(0o644)
    assert cli.ok("config", "show").err.count("others may read it") == 1
    error = cli.run("config", "check", "--json")
    assert error.code == 2
    assert "chmod 600" in error.err
    assert not doctor(cli, code=6)["configuration"][0]
    path.chmod(0o600)
    assert cli.ok("config", "check").err == ""
    assert doctor(cli, code=6)["configuration"][0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('bucket = "No_Bucket"', "bucket"),
        ('bucket = "bucket"\nprefix = "a//b"', "prefix"),
        ('bucket = "bucket"\naccess_key_id = "x"', "secret_access_key"),
        ('bucket = "bucket"\nendpoint_url = "host:1"', "endpoint_url"),
    ],
)
def test_config_check_looks_at_values_that_do_not_fit_each_other(empty: Cli, line: str, told: str) -> None:
    (empty.cwd / "maos-ckpt.toml").write_text(f"[storage.s3]\n{line}\n")
    error = empty.fails(2, "config", "check")
    assert told in error["message"]


def test_the_references_json_configures_the_command_line(cli: Cli, moto: Server, prefix: str) -> None:
    (cli.cwd / "maos-ckpt.toml").unlink(missing_ok=True)
    path = cli.cwd / "reference.json"
    s3 = {
        "bucket": moto.bucket,
        "prefix": prefix,
        "accessKeyId": moto.access_key,
        "secretAccessKey": moto.secret_key,
        "endpointUrl": moto.endpoint,
    }
    path.write_text(json.dumps({"maxCheckpoints": 3, "compressionLevel": 9, "storage": {"primary": "s3", "s3": s3}}))
    path.chmod(0o600)
    tiers = cli.ok("status", "--config", "reference.json", "--json").json["tiers"]
    assert tiers[1]["location"] == f"s3://{moto.bucket}/{prefix}"
    error = cli.fails(2, "config", "check", "--config", str(_with(path, "maxCheckpoint")))
    assert "Did you mean maxCheckpoints?" in error["message"]


def _with(path: Path, key: str) -> Path:
    other = path.with_name("other.json")
    other.write_text(json.dumps({**json.loads(path.read_text()), key: 1}))
    return other
