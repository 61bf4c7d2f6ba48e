"""Contrast by WCAG 2, and what people with a colour-vision deficiency see (Machado, Oliveira and Fernandes 2009)."""

from __future__ import annotations

import math

Colour = tuple[float, float, float]
#: Linear RGB to linear RGB, for the whole loss of one kind of cone.
DEFICIENCIES: dict[str, tuple[Colour, Colour, Colour]] = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)


def linear(colour: str) -> Colour:
    """`#rrggbb` as linear RGB from 0 to 1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    low, high = sorted(sum(p * w for p, w in zip(linear(c), _TO_XYZ[1], strict=True)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def distance(one: str, other: str, deficiency: str = "") -> float:
    """How far two colours look apart (CIE 1976 ΔE); 2.3 is just noticeable, 20 plainly another colour."""
    return math.dist(_lab(one, deficiency), _lab(other, deficiency))


def _times(matrix: tuple[Colour, Colour, Colour], colour: Colour) -> Colour:
    red, green, blue = (sum(w * part for w, part in zip(row, colour, strict=True)) for row in matrix)
    return red, green, blue


def _lab(colour: str, deficiency: str) -> Colour:
    seen = linear(colour)
    if deficiency:
        red, green, blue = _times(DEFICIENCIES[deficiency], seen)
        seen = (min(1.0, max(0.0, red)), min(1.0, max(0.0, green)), min(1.0, max(0.0, blue)))
    x, y, z = (_cube(part / white) for part, white in zip(_times(_TO_XYZ, seen), _WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _cube(part: float) -> float:
    return part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116
