"""Bulk text about a software project: seeded, never the same twice, and fast (some 110 MB/s on one core).

A sentence is subject + verb + object + tail, each drawn from a table of 65,536 phrases, so that the number of sentences
(2**64) rules repetition out while the words keep frequencies that make 64 KiB blocks compress about 3.3:1 with
zstd -3, as real agents' text does. The tables are the same for every seed and made once a process; after that a
sentence costs four list look-ups.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Final

from maos_ckpt.demo import vocabulary as words

TABLE_SIZE: Final = 1 << 16  # an index is two random bytes
BLOCK_SENTENCES: Final = 1024
MEAN_SENTENCE_BYTES: Final = 94


class Prose:
    """A seeded source of sentences, numbers and identifiers. Endless, and small beside the shared tables (40 MB)."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"maos lab prose {seed}")
        self._tables = _phrase_tables()
        self._stream = self._sentences()

    def text(self, sentences: int) -> str:
        """`sentences` sentences in a row, each with its full stop and a blank at the end of all but the last."""
        return "".join(islice(self._stream, sentences))[:-1]

    def sized(self, size_bytes: int) -> str:
        """Text of about `size_bytes` (at least one sentence)."""
        return self.text(max(1, size_bytes // MEAN_SENTENCE_BYTES))

    def vector(self, dimensions: int) -> str:
        """A JSON list of `dimensions` floats, as an embedding is stored."""
        return "[" + "".join(map(self._tables.numbers.__getitem__, self._indexes(dimensions)))[:-2] + "]"

    def uuid(self) -> str:
        """A random version-4 UUID of the seeded source."""
        digits = format(self.rng.getrandbits(128), "032x")
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def _indexes(self, count: int) -> memoryview:
        return memoryview(self.rng.randbytes(2 * count)).cast("H")

    def _sentences(self) -> Iterator[str]:
        while True:
            drawn = self._indexes(4 * BLOCK_SENTENCES)
            columns = (self._tables.subjects, self._tables.verbs, self._tables.objects, self._tables.tails)
            yield from map(
                "".join,
                zip(*(map(table.__getitem__, drawn[n::4]) for n, table in enumerate(columns)), strict=True),
            )


@dataclass(frozen=True)
class _Tables:
    subjects: list[str]
    verbs: list[str]
    objects: list[str]
    tails: list[str]
    numbers: list[str]


@cache
def _phrase_tables() -> _Tables:
    phrases = _Phrases(random.Random("maos lab phrases"))

    def table(draw: Callable[[], str]) -> list[str]:
        return [draw() for _ in range(TABLE_SIZE)]

    return _Tables(*map(table, (phrases.subject, phrases.verb, phrases.object, phrases.tail, phrases.number)))


class _Phrases:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def subject(self) -> str:
        article = self._pick(("The ", "This ", "Our ", "Every ", "Each ", "One ", "Another "))
        adjective = self._pick(words.ADJECTIVES) + " " if self._rng.random() < 0.6 else ""
        return f"{article}{adjective}{self._noun()} "

    def verb(self) -> str:
        return self._pick(words.MODALS) + self._pick(words.VERBS) + self._pick((" the ", " its ", " this ", " every "))

    def object(self) -> str:
        adjective = self._pick(words.ADJECTIVES) + " " if self._rng.random() < 0.4 else ""
        clause = " " + self._pick(words.CLAUSES) if self._rng.random() < 0.55 else ""
        return f"{adjective}{self._noun()}{clause}"

    def tail(self) -> str:
        rng = self._rng
        shape = rng.random()
        if shape < 0.10:
            return ". "
        if shape < 0.45:
            path = f"{self._pick(words.DIRECTORIES)}/{self._pick(words.STEMS)}_{self._pick(words.STEMS)}"
            return f" ({path}{self._pick(words.SUFFIXES)}:{rng.randrange(1, 900)}). "
        if shape < 0.57:
            return f" since commit {rng.getrandbits(36):09x}. "
        if shape < 0.67:
            return f" in {rng.randrange(1, 9000) / 10} ms at p99. "
        if shape < 0.79:
            return f", see {self._pick(('PAY', 'LED', 'RISK', 'OPS'))}-{rng.randrange(100, 9999)}. "
        if shape < 0.89:
            return f": {rng.randrange(2, 990)} of {rng.randrange(1000, 9999)} cases. "
        return f" for merchant mrc_{rng.getrandbits(48):012x}. "

    def number(self) -> str:
        return f"{self._rng.gauss(0, 0.05):.9f}, "

    def _pick(self, choices: tuple[str, ...]) -> str:
        return choices[int(self._rng.random() * len(choices))]

    def _noun(self) -> str:
        shape = self._rng.random()
        if shape < 0.45:
            return self._pick(words.NOUNS)
        if shape < 0.85:
            return f"{self._pick(words.STEMS)} {self._pick(words.PARTS)}"
        return f"`{self._pick(words.STEMS)}_{self._pick(words.STEMS)}_{self._pick(words.STEMS)}`"
