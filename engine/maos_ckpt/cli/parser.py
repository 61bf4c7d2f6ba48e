"""The argument parser: argparse, with this program's errors."""

from __future__ import annotations

import argparse
import difflib
from typing import NoReturn

from maos_ckpt.errors import UsageError

PROGRAM = "maos-ckpt"
#: Arguments that name places, which on Linux may be any bytes; all others are text.
_PATHS = frozenset({"config", "repo", "source", "claude_home", "to", "keep", "connect", "token_file"})


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UsageError`, with the nearest option where one was mistyped."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing and exiting."""
        raise UsageError(
            f"{message[:1].upper()}{message[1:]}.", hint=f"`{self.prog} --help` shows what it takes.", usage=self.prog
        )

    def parse(self, arguments: list[str]) -> argparse.Namespace:
        """Parse all of `arguments`."""
        namespace, unknown = self.parse_known_args(arguments)
        if unknown:
            self._reject(unknown[0])
        for name, value in vars(namespace).items():
            if name not in _PATHS:
                self._check_text(value)
        return namespace

    def _check_text(self, value: object) -> None:
        for text in value if isinstance(value, list) else [value]:
            try:
                str(text).encode()
            except UnicodeEncodeError:
                self.error(f"the argument {text!r} is not UTF-8 text")

    def _reject(self, word: str) -> NoReturn:
        if not word.startswith("-"):
            self.error(f"there is no place for the argument {word!r}")
        near = difflib.get_close_matches(word.partition("=")[0], self._option_string_actions, 1)
        raise UsageError(
            f"{self.prog} has no option {word!r}." + (f" Did you mean {near[0]}?" if near else ""),
            hint=f"`{self.prog} --help` shows all options.",
            option=word,
            nearest=near[0] if near else None,
        )
