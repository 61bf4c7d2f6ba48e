"""Standard output: JSON documents, JSON lines, or lines of text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator

import msgspec


class Output:
    """Data goes to standard output through this; everything else goes to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, document: dict[str, object]) -> None:
        """One JSON document. ASCII only, so that no state content can reach a terminal's interpreter.

        A value that is an iterator is written as a list, item by item, one a line, and never held as a whole.
        """
        _write(document, "\n")
        sys.stdout.write("\n")

    def stream_line(self, document: dict[str, object]) -> None:
        """One object of a long stream."""
        sys.stdout.write(json.dumps(document) + "\n")

    def json_line(self, document: dict[str, object]) -> None:
        """One object of a live stream, sent at once."""
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()

    def lines(self, lines: Iterable[str]) -> None:
        """Text; each line has passed `safe_text` where it holds anything untrusted."""
        for line in lines:
            sys.stdout.write(line + "\n")

    def live_line(self, line: str) -> None:
        """One line of text of a live stream, sent at once."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def notice(self, text: str) -> None:
        """Something beside the data, on standard error."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _write(value: object, newline: str) -> None:
    write, inner = sys.stdout.write, newline + "  "
    if isinstance(value, dict) and value:
        before = "{"
        for key, one in value.items():
            write(f"{before}{inner}{json.dumps(key)}: ")
            _write(one, inner)
            before = ","
        write(newline + "}")
    elif isinstance(value, Iterator):
        before = ""
        for one in value:
            write((before or "[") + inner + json.dumps(one))
            before = ","
        write(newline + "]" if before else "[]")
    else:
        write(_indented(json.dumps(value)).replace("\n", newline))


def _indented(text: str) -> str:
    # By msgspec: the standard library indents in Python, which takes seconds for a long list.
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        # A file name that is not UTF-8 is valid JSON to Python, not to msgspec.
        return text
