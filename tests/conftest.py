"""What every test may count on."""

from __future__ import annotations

import logging
import os
import signal

import pytest

# A shell that starts the tests in the background, or under nohup, has them ignore these signals, and so would every
# process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Set by xdist for its workers; they would pass for the size of every terminal that a test makes.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def logging_on() -> None:
    """The sample MAOS switches logging off in its process, which may be this one."""
    logging.disable(logging.NOTSET)
