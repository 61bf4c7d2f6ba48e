"""Log lines: text or JSON, levels by area, no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from maos_ckpt import environment
from maos_ckpt.config import Settings, load
from maos_ckpt.errors import UsageError
from maos_ckpt.logs import LEVELS, REDACTED, log_to, redacted, set_log_level

TOKEN = "mck_0123abcd_" + "s" * 43


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("maos_ckpt")
    before = (root.level, list(root.handlers), ours.level)
    yield
    set_log_level("warning", "api")
    logging.getLogger("maos_ckpt.api").setLevel(logging.NOTSET)
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    ours.setLevel(before[2])


def logged(level: str, **options: object) -> io.StringIO:
    out = io.StringIO()
    log_to(logging.StreamHandler(out), level, **options)  # type: ignore[arg-type]
    return out


def test_a_line_of_json_is_one_object_with_its_area(tmp_path: object) -> None:
    out = logged("info", as_json=True)
    logging.getLogger("maos_ckpt.api.guard").info("said %s\n\x1b[31m", "so")
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("maos_ckpt.engine").exception("it went wrong")
    first, second = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (first["level"], first["area"], first["message"]) == ("info", "api.guard", "said so\n\x1b[31m")
    assert first["at"].endswith("Z")
    assert "ValueError: inside" in second["traceback"]
    assert out.getvalue().isascii()
    assert "\x1b" not in out.getvalue()


def test_a_line_of_text_shows_no_control_characters() -> None:
    out = logged("info")
    logging.getLogger("maos_ckpt.api").warning("a \x1b]0;owned\x07 title")
    assert "\\x1b]0;owned\\x07" in out.getvalue()


def test_each_area_has_its_level_and_other_libraries_are_kept_quiet() -> None:
    out = logged("warning", levels=("api=debug", "replication=error"))
    for name in ("maos_ckpt.api.guard", "maos_ckpt.replication.push", "maos_ckpt.engine", "botocore"):
        for level in LEVELS:
            logging.getLogger(name).log(getattr(logging, level.upper()), "%s %s", name, level)
    shown = [line.split(": ", 1)[1] for line in out.getvalue().splitlines()]
    assert shown == [
        *(f"maos_ckpt.api.guard {one}" for one in LEVELS),
        "maos_ckpt.replication.push error",
        *(f"maos_ckpt.engine {one}" for one in ("warning", "error")),
        *(f"botocore {one}" for one in ("warning", "error")),
    ]
    again = logged("error")
    logging.getLogger("maos_ckpt.api.guard").debug("an area's level does not outlast its configuration")
    assert again.getvalue() == ""
    assert "Authorization" not in logged("debug").getvalue()


@pytest.mark.parametrize("area", ["nothing", "api.nothing", "../api", "api/guard", "a.b.c.d", ".", "os", ""])
def test_an_area_or_level_that_there_is_not_is_refused(area: str) -> None:
    with pytest.raises(UsageError):
        set_log_level("debug" if area else "loud", area)
    with pytest.raises(UsageError):
        logged("info", levels=(f"{area}=debug",))


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_logged_whichever_way_it_comes(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    monkeypatch.setenv("MAOS_CKPT_PASSPHRASE", "correct horse battery")
    monkeypatch.setattr(environment, "_SECRETS", set())
    environment.secret_variable("MAOS_CKPT_PASSPHRASE")
    out = logged("debug", as_json=as_json, secrets=("aws-secret-key", "abc"))
    log = logging.getLogger("maos_ckpt.api")
    log.info("token %s", TOKEN)
    log.info("Authorization: Bearer %s", "x" * 30)
    log.info("abc aws-secret-key and correct horse battery")
    log.info("postgresql://user:hunter2@db/x and https://example.org/a:b@c")
    try:
        raise ValueError(TOKEN)
    except ValueError:
        log.exception("failed")
    text = out.getvalue()
    for secret in (TOKEN, "x" * 30, "aws-secret-key", "correct horse battery", "hunter2"):
        assert secret not in text
    assert text.count(REDACTED) >= 6
    assert "abc" in text, "what is too short to be a secret stays"
    assert "mck_0123abcd_" in text, "which token it was is still told"


def test_the_configurations_secrets_are_known(tmp_path: object) -> None:
    variables = {"MAOS_CKPT_STORAGE_S3_SECRET_ACCESS_KEY": "very-secret", "MAOS_CKPT_ENCRYPTION_KEY": "env:MY_KEY"}
    settings = load(cwd=tmp_path, variables=variables, config_home=tmp_path)  # type: ignore[arg-type]
    assert isinstance(settings, Settings)
    assert settings.secrets() == ["very-secret"]
    assert redacted("it is very-secret", settings.secrets()) == f"it is {REDACTED}"
