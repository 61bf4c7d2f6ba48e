"""Texts that try to get at a terminal or at the program that shows them, each with a tag by which it is known again.

What the console itself sends never looks like one of them: cursor positions and colours here are out of its range, so
that `tests.console.stream` tells the two apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable

Make = Callable[[str], str]

#: Kind → a text of that kind with the tag in it.
KINDS: dict[str, Make] = {
    "plain": lambda tag: tag,
    "title": lambda tag: f"\x1b]0;owned {tag}\x07{tag}",
    "csi colour": lambda tag: f"\x1b[6;31m{tag}\x1b[0;6m",
    "csi cursor": lambda tag: f"\x1b[999;999H{tag}\x1b[2J\x1b[3J",
    "csi report": lambda tag: f"{tag}\x1b[5n\x1b[6n\x1b[c\x1b[>q",
    "mouse on": lambda tag: f"\x1b[?1000h\x1b[?1003h{tag}",
    "leave screen": lambda tag: f"\x1b[?1049l{tag}\x1bc",
    "osc 8 link": lambda tag: f"\x1b]8;;https://evil.example/{tag}\x1b\\{tag}\x1b]8;;\x1b\\",
    "osc 52 copy": lambda tag: f"\x1b]52;c;{'aGFjaw=='}\x07{tag}",
    "dcs": lambda tag: f"\x1bP$q{tag}\x1b\\\x1b_apc{tag}\x1b\\\x1b^pm{tag}\x1b\\",
    "c1": lambda tag: f"\x9b31m{tag}\x9d0;owned\x9c\x90{tag}\x85\x8d",
    "c0": lambda tag: f"{tag}\r\n\b\b\v\f\x0e\x0f\x7f\x05\x18\x1a",
    "nul": lambda tag: f"{tag}\x00after",
    "tabs": lambda tag: f"\t{tag}\t\tend\n\nnext line",
    "markup action": lambda tag: f"[@click=app.quit]{tag}[/]",
    "markup link": lambda tag: f"[link=https://evil.example]{tag}[/link][@click=screen.back()]x[/]",
    "markup broken": lambda tag: f"[/b]{tag}[/][[b",
    "markup style": lambda tag: f"[red on white]{tag}[/red on white] $primary {{x}} %s",
    "bidi": lambda tag: f"\u202e{tag}\u202c\u2066gnp.exe\u2069\u061c",
    "zero width": lambda tag: f"\u200b{tag}\u200d\u2060\ufeff\u00ad",
    "tag characters": lambda tag: f"{tag}\U000e0041\U000e0042\U000e007f",
    "combining tower": lambda tag: f"{tag}e" + "\u0301\u0338\u20dd" * 40,
    "surrogate": lambda tag: f"{tag}\ud800\udfff",
    "private use": lambda tag: f"{tag}\ue000\uf8ff\U0010fffd\ufdd0",
    "wide": lambda tag: f"{tag}日本語テキスト한국어中文" * 3,
    "emoji": lambda tag: f"{tag}👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇩🇪1️⃣",
    "right to left": lambda tag: f"{tag} שלום مرحبا",
    "fake prompt": lambda tag: f"{tag}\n\nroot@host:~# Type yes to confirm: yes",
    "path": lambda tag: f"../../{tag}/..//etc/passwd",
    "sql and shell": lambda tag: f"{tag}'; DROP TABLE agents; -- $(reboot) `id` && :",
    "json": lambda tag: f'{{"{tag}": [1, "\\u001b[31m", null]}}',
    "long word": lambda tag: tag + "x" * 3_000,
    "line separators": lambda tag: f"{tag}\u2028second\u2029third\x85fourth",
    "variation": lambda tag: f"{tag}\ufe0f\u2764\ufe0f\U000e0100",
    "empty look": lambda tag: f"\u3164\u115f\u2800{tag}",
}


def tag_of(number: int) -> str:
    """What is looked for on the screen: letters and digits that nothing else shows."""
    return f"zq{number:04d}"


def hostile_texts(number: int, seed: int) -> list[str]:
    """`number` texts, each of one kind or of several mixed; the first ones cover every kind."""
    chance = random.Random(seed)
    kinds = list(KINDS.values())
    texts = []
    for position in range(number):
        tag = tag_of(position)
        if position < len(kinds):
            texts.append(kinds[position](tag))
            continue
        mixed = "".join(make(tag) for make in chance.choices(kinds, k=chance.choice((1, 1, 2, 3))))
        if chance.random() < 0.3:
            at = chance.randrange(len(mixed) + 1)
            noise = "".join(
                chr(chance.choice((chance.randrange(0x20), chance.randrange(0x7F, 0xA0)))) for _ in range(4)
            )
            mixed = mixed[:at] + noise + mixed[at:]
        texts.append(mixed)
    return texts
