"""Figures against what is promised, and what one process takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured value against its bound, in `unit`."""

    what: str
    value: float
    bound: float | None
    unit: str
    about: str = ""

    @property
    def row(self) -> str:
        """As a line of the table."""
        held = "" if self.bound is None else "yes" if self.value <= self.bound else "**no**"
        bound = "" if self.bound is None else f"≤ {self.bound:g} {self.unit}"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {bound} | {held} | {self.about} |"


def cpu_s(pid: int) -> float:
    """Processor time of one process so far; what it started is not in it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Memory of one process now."""
    return int(Path(f"/proc/{pid}/status").read_text(encoding="ascii").split("VmRSS:")[1].split()[0]) / 1000


def percentile_ms(values: list[float], share: float) -> float:
    """Nearest rank, in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def key_figures(what: str, taken: list[float], bound_ms: float) -> list[Figure]:
    """Median and 99th percentile of keys."""
    about = f"{len(taken)} keys, longest {max(taken) * 1000:.0f} ms"
    return [
        Figure(f"{what}, median", percentile_ms(taken, 0.5), None, "ms", about),
        Figure(f"{what}, p99", percentile_ms(taken, 0.99), bound_ms, "ms", about),
    ]
