"""Reading ahead of a reader: what was given up is read again when it is asked for."""

from __future__ import annotations

import threading

from maos_ckpt.repository import spans
from maos_ckpt.repository.spans import REQUESTS_MAX, Span, SpanReader


def test_a_range_whose_request_was_given_up_with_another_is_read_again() -> None:
    """Several ranges share a request. When the oldest is dropped for want of room the request goes with it."""
    going = threading.Event()

    def read(span: Span) -> bytes:
        going.wait(10)
        return bytes(span.length)

    reader = SpanReader(read)
    half = spans.SPAN_BYTES_MAX // 2
    # The pool is busy with as many requests as it may have, so what comes next waits in it.
    for number in range(REQUESTS_MAX):
        reader.ahead([(f"packs/{number}", 0, 1)])
    pairs = [[(f"packs/x{number}", 0, half), (f"packs/x{number}", half, half)] for number in range(8)]
    for pair in pairs:
        reader.ahead(pair)
    reader.ahead([("packs/y", 0, half)])
    first, second = pairs[0]
    assert first not in reader._waiting
    assert second in reader._waiting, "the fault that this is about"
    going.set()
    assert reader.take(*second) is None
    assert reader.take(*pairs[7][1]) == bytes(half)
    reader.close()
