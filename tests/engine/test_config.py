"""Configuration: strict types, nearest keys, precedence with origins, and the example that is generated from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from maos_ckpt.config import Config, Settings, example, load
from maos_ckpt.config.keys import keys
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import ConfigError, ExitCode, PermissionRefusedError

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
