"""Configuration: strict types, nearest keys, precedence with origins, and the example that is generated from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt.config import Config, Settings, example, load
from maos_ckpt.config.keys import keys
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import ConfigError, ExitCode, PermissionRefusedError
from maos_ckpt.operations.remotes import remote_settings

ROOT = Path(__file__).parents[2]


def load_text(tmp_path: Path, text: str, **more: object) -> Settings:
    (tmp_path / "maos-ckpt.toml").write_text(text, encoding="utf-8")
    return load(cwd=tmp_path, variables={}, config_home=tmp_path / "none", **more)  # type: ignore[arg-type]


def test_defaults_hold_without_any_file(tmp_path: Path) -> None:
    settings = load(cwd=tmp_path, variables={}, config_home=tmp_path)
    assert settings.config == Config()
    assert settings.file is None
    assert set(settings.origins.values()) == {"default"}


def test_the_defaults_are_those_of_the_reference() -> None:
    config = Config()
    assert (config.interval_seconds, config.max_checkpoints, config.compression.level) == (30, 10, 6)
    performance = config.performance
    assert (performance.max_save_time_ms, performance.max_recovery_time_ms) == (5000, 60_000)
    assert performance.compression_target == 10


def test_the_example_file_is_the_generated_one() -> None:
    assert (ROOT / "config.example.toml").read_text(encoding="utf-8") == example()


def test_the_example_says_exactly_the_defaults(tmp_path: Path) -> None:
    settings = load_text(tmp_path, example())
    assert settings.config == Config()
    assert set(settings.origins.values()) == {f"file {tmp_path / 'maos-ckpt.toml'}"}


def test_every_key_has_a_description_and_a_wanted_form() -> None:
    for key in keys().values():
        assert key.description.endswith("."), key.path
        assert key.wanted, key.path


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "maos-ckpt.toml").write_text("interval_seconds = 10\nmax_checkpoints = 11\nlog_level = 'debug'\n")
    settings = load(
        cwd=tmp_path,
        flags={"interval_seconds": ("--interval", "30.5")},
        variables={"MAOS_CKPT_INTERVAL_SECONDS": "20", "MAOS_CKPT_MAX_CHECKPOINTS": "21"},
        config_home=tmp_path,
    )
    config, origins = settings.config, settings.origins
    assert (config.interval_seconds, config.max_checkpoints, config.log_level) == (30.5, 21, "debug")
    assert origins["interval_seconds"] == "flag --interval"
    assert origins["max_checkpoints"] == "environment MAOS_CKPT_MAX_CHECKPOINTS"
    assert origins["log_level"] == f"file {tmp_path / 'maos-ckpt.toml'}"
    assert origins["compression.codec"] == "default"


def test_the_named_file_beats_the_variable_beats_the_working_directory_beats_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home" / "maos-ckpt"
    home.mkdir(parents=True)
    places = [tmp_path / "named.toml", tmp_path / "variable.toml", tmp_path / "maos-ckpt.toml", home / "config.toml"]
    for number, path in enumerate(places, 1):
        path.write_text(f"max_checkpoints = {number}\n")
    variables = {"MAOS_CKPT_CONFIG": str(places[1])}

    def loaded(**more: object) -> int:
        return load(cwd=tmp_path, config_home=tmp_path / "home", **more).config.max_checkpoints  # type: ignore[arg-type]

    assert loaded(file="named.toml", variables=variables) == 1
    assert loaded(variables=variables) == 2
    assert loaded(variables={}) == 3
    places[2].unlink()
    assert loaded(variables={}) == 4


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("intervall_seconds = 1", "interval_seconds"),
        ("max_checkpoint = 1", "max_checkpoints"),
        ("[compression]\nlevle = 1", "compression.level"),
        ("[performance]\nmax_savetime_ms = 1", "performance.max_save_time_ms"),
        ("[storage.locl]\npath = ''", "storage.local.path"),
        ("level = 3", "compression.level"),
        ("theme = 'dark'", "console.theme"),
        ("source = 'maos:.'", "sources"),
    ],
)
def test_a_misspelt_key_is_an_error_that_names_the_nearest(tmp_path: Path, text: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    assert caught.value.data["nearest"] == near
    assert f"Did you mean {near}?" in caught.value.message
    assert str(tmp_path / "maos-ckpt.toml") in caught.value.message
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_key_like_no_other_is_an_error_without_a_guess(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no key zzz") as caught:
        load_text(tmp_path, "zzz = 1")
    assert caught.value.data["nearest"] is None


@pytest.mark.parametrize(
    ("text", "key", "wanted", "got"),
    [
        ("interval_seconds = 'thirty'", "interval_seconds", "a number from 0.1 to 86400", "text"),
        ("interval_seconds = true", "interval_seconds", "a number from 0.1 to 86400", "true/false"),
        ("interval_seconds = 0", "interval_seconds", "a number from 0.1 to 86400", "number"),
        ("interval_seconds = nan", "interval_seconds", "a number from 0.1 to 86400", "number"),
        ("interval_seconds = inf", "interval_seconds", "a number from 0.1 to 86400", "number"),
        ("interval_seconds = 1979-05-27", "interval_seconds", "a number from 0.1 to 86400", "date"),
        ("max_checkpoints = 2.5", "max_checkpoints", "a whole number from 0 to 10000000", "number"),
        ("max_checkpoints = -1", "max_checkpoints", "a whole number from 0 to 10000000", "number"),
        ("read_only = 'yes'", "read_only", "true or false", "text"),
        ("sources = 'maos:.'", "sources", "a list of texts", "text"),
        ("sources = [1]", "sources", "a list of texts", "list"),
        ("sources = ['']", "sources", "a list of texts", "list"),
        ("[compression]\ncodec = 'zip'", "compression.codec", "one of", "text"),
        ("[compression]\nlevel = 99", "compression.level", "a whole number from 1 to 19", "number"),
        ("interval_seconds = {a = 1}", "interval_seconds", "a number from 0.1 to 86400", "table"),
    ],
)
def test_a_wrong_value_names_key_wanted_and_got(tmp_path: Path, text: str, key: str, wanted: str, got: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    error = caught.value
    assert error.data["key"] == key
    assert wanted in error.message
    assert error.data["got"] == got
    assert key in error.message


#: The mission's reference configuration, every key of it with a value that is not the default.
REFERENCE: dict[str, object] = {
    "interval_seconds": 45,
    "max_checkpoints": 7,
    "compression_level": 9,
    "encryption_enabled": True,
    "storage": {
        "primary": "s3",
        "s3": {
            "bucket": "agents",
            "region": "eu-central-1",
            "prefix": "teams",
            "access_key_id": "AKIAEXAMPLE",
            "secret_access_key": "hush-hush",
            "endpoint_url": "http://127.0.0.1:9000",
        },
        "local": {"path": "checkpoints", "max_size_bytes": 1_000_000},
        "cache_size": 10,
        "cache_ttl": 60,
    },
    "performance": {
        "max_save_time_ms": 4000,
        "max_recovery_time_ms": 50_000,
        "compression_target": 12,
        "batch_size": 3,
    },
}


def camel(table: dict[str, object]) -> dict[str, object]:
    def name(key: str) -> str:
        first, *others = key.split("_")
        return first + "".join(one.capitalize() for one in others)

    return {name(key): camel(value) if isinstance(value, dict) else value for key, value in table.items()}


def load_json(tmp_path: Path, document: object) -> Settings:
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / "reference.json").write_text(text, encoding="utf-8")
    return load(cwd=tmp_path, file="reference.json", variables={}, config_home=tmp_path)


@pytest.mark.parametrize("spelling", [camel, dict])
def test_the_references_json_is_read_in_both_spellings(
    tmp_path: Path, spelling: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    settings = load_json(tmp_path, spelling(REFERENCE))
    config, storage = settings.config, settings.config.storage
    assert (config.interval_seconds, config.max_checkpoints, config.compression.level) == (45, 7, 9)
    assert config.encryption_enabled
    assert (storage.primary, storage.cache_size, storage.cache_ttl) == ("s3", 10, 60)
    assert (storage.local.path, storage.local.max_size_bytes) == ("checkpoints", 1_000_000)
    s3 = storage.s3
    assert (s3.bucket, s3.region, s3.prefix, s3.endpoint_url) == (
        "agents", "eu-central-1", "teams", "http://127.0.0.1:9000",
    )  # fmt: skip
    assert (s3.access_key_id, s3.secret_access_key) == ("AKIAEXAMPLE", "hush-hush")
    performance = config.performance
    assert (performance.max_save_time_ms, performance.max_recovery_time_ms) == (4000, 50_000)
    assert (performance.compression_target, performance.batch_size) == (12, 3)
    from_file = {key for key, origin in settings.origins.items() if origin.startswith("file")}
    assert len(from_file) == 19


def test_the_batch_size_is_how_many_parts_are_uploaded_at_once(tmp_path: Path) -> None:
    remote = remote_settings(load_json(tmp_path, camel(REFERENCE)).config)
    assert remote is not None
    assert remote.s3.parts_at_once == 3


def test_the_references_name_serves_in_toml_and_not_beside_ours(tmp_path: Path) -> None:
    assert load_text(tmp_path, "compression_level = 3").config.compression.level == 3
    with pytest.raises(ConfigError, match="another key set compression"):
        load_text(tmp_path, "compression_level = 3\n[compression]\nlevel = 4")


@pytest.mark.parametrize(
    ("document", "near"),
    [
        ({"compressionLevl": 3}, "compressionLevel"),
        ({"storage": {"s3": {"accesKeyId": "x"}}}, "storage.s3.accessKeyId"),
        ({"batchSize": 3}, "performance.batchSize"),
        ({"max_checkpoint": 3}, "max_checkpoints"),
    ],
)
def test_a_misspelt_key_in_json_is_an_error_in_the_spelling_of_the_file(
    tmp_path: Path, document: dict[str, object], near: str
) -> None:
    with pytest.raises(ConfigError, match=rf"Did you mean {near}\?"):
        load_json(tmp_path, document)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"a": 1, "a": 2}', "[" * 100_000, '{"system": "\\ud800"}', "{'a': 1}", "1" * 5000]
)
def test_what_is_no_json_object_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not valid JSON"):
        load_json(tmp_path, text)


@pytest.mark.parametrize("value", [None, float("nan"), [], {"a": 1}, 10**400])
def test_a_wrong_value_in_json_names_key_and_wanted(tmp_path: Path, value: object) -> None:
    with pytest.raises(ConfigError, match="max_checkpoints must be a whole number"):
        load_json(tmp_path, {"maxCheckpoints": value})


# Secrets

SECRET = "hush-hush-hush"


def test_a_secret_is_shown_as_being_set_and_never_itself(tmp_path: Path) -> None:
    variables = {"MAOS_CKPT_STORAGE_S3_SECRET_ACCESS_KEY": SECRET}
    (tmp_path / "maos-ckpt.toml").write_text(f"[storage.s3]\nendpoint_url = 'http://me:{SECRET}@host'\n")
    settings = load(cwd=tmp_path, variables=variables, config_home=tmp_path)
    shown = {key: value for key, value, _ in settings.items()}
    assert shown["storage.s3.secret_access_key"] == "set, not shown"
    assert shown["storage.s3.endpoint_url"] == "http://…@host"
    assert SECRET not in repr(settings.items())
    assert settings.config.storage.s3.secret_access_key == SECRET


def test_where_a_key_is_may_be_seen_and_an_unset_secret_is_empty(tmp_path: Path) -> None:
    settings = load(cwd=tmp_path, variables={"MAOS_CKPT_ENCRYPTION_KEY": "env:PASSPHRASE"}, config_home=tmp_path)
    shown = {key: value for key, value, _ in settings.items()}
    assert (shown["encryption_key"], shown["storage.s3.secret_access_key"]) == ("env:PASSPHRASE", "")


@pytest.mark.parametrize(
    "text",
    [
        f"[storage.s3]\nsecret_access_key = ['{SECRET}']",
        f"[storage.s3]\nsecret_access_key = '{SECRET * 30}'",
        f"[storage.s3]\nsecret_acess_key = '{SECRET}'",
        f"[storage]\ns3 = '{SECRET}'",
        f"[storage.s3]\nsecret_access_key = {SECRET}",
        f"encryption_key = {{a = '{SECRET}'}}",
        f"interval_seconds = 'https://user:{SECRET}@host'",
    ],
)
def test_no_error_repeats_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    assert SECRET[:8] not in f"{caught.value.message} {caught.value.hint} {caught.value.data}"


def test_no_error_repeats_a_secret_of_the_environment(tmp_path: Path) -> None:
    name = "MAOS_CKPT_STORAGE_S3_SECRET_ACCESS_KEY"
    with pytest.raises(ConfigError, match=name) as caught:
        load(cwd=tmp_path, variables={name: SECRET * 30}, config_home=tmp_path)
    assert SECRET[:8] not in f"{caught.value.message} {caught.value.hint} {caught.value.data}"


def test_a_secret_in_a_file_that_others_may_read_is_told(tmp_path: Path) -> None:
    text = f"[storage.s3]\nsecret_access_key = '{SECRET}'"
    settings = load_text(tmp_path, text)
    assert settings.file is not None
    settings.file.chmod(0o644)
    assert settings.exposed_secrets() == ["storage.s3.secret_access_key"]
    settings.file.chmod(0o600)
    assert settings.exposed_secrets() == []
    no_secret = load_text(tmp_path, "[storage.s3]\nsecret_access_key = ''\nbucket = 'open'")
    settings.file.chmod(0o644)
    assert no_secret.exposed_secrets() == []


def test_a_table_written_as_a_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="compression must be a table"):
        load_text(tmp_path, "compression = 6")


@pytest.mark.parametrize("text", ["interval_seconds = ", "a = 1\na = 2", "[" * 3000, "= 1"])
def test_what_is_not_toml_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_text(tmp_path, text)


def test_bytes_that_are_no_text_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "maos-ckpt.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(cwd=tmp_path, variables={}, config_home=tmp_path)


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_text(tmp_path, "#" * (2 << 20))


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config names it"):
        load(cwd=tmp_path, file="gone.toml", variables={}, config_home=tmp_path)
    with pytest.raises(ConfigError, match="MAOS_CKPT_CONFIG names it"):
        load(cwd=tmp_path, variables={"MAOS_CKPT_CONFIG": "gone.toml"}, config_home=tmp_path)


def test_a_file_that_may_not_be_read_is_a_permission_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "maos-ckpt.toml"
    path.write_text("")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # Tests may run as root, for whom no file is unreadable.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionRefusedError, match="cannot be read"):
        load(cwd=tmp_path, variables={}, config_home=tmp_path)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("MAOS_CKPT_INTERVAL_SECOND", "MAOS_CKPT_INTERVAL_SECONDS"),
        ("MAOS_CKPT_MAXCHECKPOINTS", "MAOS_CKPT_MAX_CHECKPOINTS"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(cwd=tmp_path, variables={name: "1"}, config_home=tmp_path)
    assert caught.value.data["nearest"] == near


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("MAOS_CKPT_INTERVAL", "2.5", "interval_seconds", 2.5),
        ("MAOS_CKPT_REPO", "/r", "storage.local.path", "/r"),
        ("MAOS_CKPT_STORAGE_LOCAL_PATH", "/r", "storage.local.path", "/r"),
        ("MAOS_CKPT_SOURCE", "maos:/a b", "sources", ("maos:/a b",)),
        ("MAOS_CKPT_READ_ONLY", "Yes", "read_only", True),
        ("MAOS_CKPT_READ_ONLY", "0", "read_only", False),
        ("MAOS_CKPT_LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("MAOS_CKPT_COMPRESSION_CODEC", "lz4", "compression.codec", "lz4"),
    ],
)
def test_variables_are_read_by_type(tmp_path: Path, name: str, text: str, path: str, value: object) -> None:
    settings = load(cwd=tmp_path, variables={name: text}, config_home=tmp_path)
    assert {key: found for key, found, _ in settings.items()}[path] == value


@pytest.mark.parametrize(("name", "text"), [("MAOS_CKPT_READ_ONLY", "maybe"), ("MAOS_CKPT_MAX_CHECKPOINTS", "1.5")])
def test_a_variable_of_the_wrong_type_is_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load(cwd=tmp_path, variables={name: text}, config_home=tmp_path)


def test_a_child_process_finds_this_package() -> None:
    assert str(ROOT / "engine") in child_environment()["PYTHONPATH"].split(":")
