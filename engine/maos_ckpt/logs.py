"""What is logged: text or JSON, with a level for each area, and never a secret.

An area is a module or package of this program, as `api`, `replication` or `engine.watch`. What other libraries log is
left out below warnings, whatever the level: their debug lines show requests with all their headers.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import logging
import re
from collections.abc import Iterable, Mapping

from maos_ckpt.environment import secret_values
from maos_ckpt.errors import UsageError
from maos_ckpt.safe_text import safe_text

ROOT = "maos_ckpt"
LEVELS = ("debug", "info", "warning", "error")
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: What stands in the place of a secret.
REDACTED = "[redacted]"
#: Shorter ones are ordinary words, which a log cannot do without.
_SECRET_CHARACTERS_MIN = 6
_AREA = re.compile(r"[a-z_0-9]+(\.[a-z_0-9]+)*")
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bmck_([0-9a-f]{8})_[A-Za-z0-9_-]+"), rf"mck_\1_{REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (re.compile(r"://[^/@\s:]*:[^/@\s]+@"), f"://{REDACTED}@"),
)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without the secrets given, those of the environment, tokens, and credentials in URLs."""
    for secret in (*secrets, *secret_values()):
        if len(secret) >= _SECRET_CHARACTERS_MIN:
            text = text.replace(secret, REDACTED)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


class _Text(logging.Formatter):
    """Lines for people; what is quoted from others is escaped, a traceback keeps its lines."""

    def __init__(self, form: str, secrets: tuple[str, ...]) -> None:
        super().__init__(form)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """One record as text without control characters."""
        lines = redacted(super().format(record), self._secrets).split("\n")
        return "\n".join(safe_text(line) for line in lines)


class _Json(logging.Formatter):
    """One JSON object a line, ASCII only: `at`, `level`, `area`, `message`, and `traceback` where there is one."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """One record as a line."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        fields = {
            "at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "area": record.name.removeprefix(f"{ROOT}."),
            "message": redacted(record.getMessage(), self._secrets),
        }
        if record.exc_info:
            fields["traceback"] = redacted(self.formatException(record.exc_info), self._secrets)
        return json.dumps(fields)


def log_to(
    handler: logging.Handler,
    level: str,
    *,
    levels: Iterable[str] = (),
    as_json: bool = False,
    form: str = _TEXT,
    secrets: Iterable[str] = (),
) -> None:
    """Log to a handler alone from now on.

    Args:
        level: the least important that is logged, of `LEVELS`.
        levels: others for single areas, each as `AREA=LEVEL`.
        form: of a line of text, as `logging` has it.
        secrets: never to be shown, beside those that are known to be such by their form.

    Raises:
        UsageError: there is no such area or level.
    """
    chosen = dict(parse_level(one) for one in levels)
    hidden = tuple(secrets)
    handler.setFormatter(_Json(hidden) if as_json else _Text(form, hidden))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_levels(level, chosen)


def set_levels(level: str, areas: Mapping[str, str]) -> None:
    """Set the level of everything, and of the areas given; others have none of their own any more.

    Raises:
        UsageError: there is no such area or level; nothing was set.
    """
    for area, its_level in [("", level), *areas.items()]:
        _check(its_level, area)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith(f"{ROOT}.") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)
    for area, its_level in [("", level), *areas.items()]:
        set_log_level(its_level, area)


def set_log_level(level: str, area: str = "") -> None:
    """Log everything, or one area, from this level on.

    Raises:
        UsageError: there is no such area or level.
    """
    _check(level, area)
    logging.getLogger(f"{ROOT}.{area}" if area else ROOT).setLevel(level.upper())


def _check(level: str, area: str) -> None:
    if level.lower() not in LEVELS:
        raise UsageError(f"There is no log level {level[:40]!r}.", hint=f"Use one of {', '.join(LEVELS)}.")
    if area and not _is_area(area):
        raise UsageError(
            f"There is no area {area[:80]!r} to log.",
            hint="An area is a module of maos_ckpt, as api, replication or engine; the log lines name theirs.",
        )


def parse_level(text: str) -> tuple[str, str]:
    """Area and level of `AREA=LEVEL`.

    Raises:
        UsageError: it is not of that form.
    """
    area, equals, level = text.partition("=")
    if not (area and equals and level):
        raise UsageError(f"{text[:100]!r} is no level for an area.", hint="Write it as api=debug.")
    return area, level


def _is_area(area: str) -> bool:
    if not _AREA.fullmatch(area):
        return False
    try:
        return importlib.util.find_spec(f"{ROOT}.{area}") is not None
    except (ImportError, ValueError):
        return False
