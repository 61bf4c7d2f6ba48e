"""Integrity: verifications begun, stopped and told, damage found and mended as far as it can be, over a real engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maos_ckpt_tui.screens.integrity import IntegrityScreen
from tests.console.real import Lab, build_lab, console
from tests.lab.mutate import mutate


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


def damage(lab: Lab) -> Path:
    """Bytes all over the largest pack are others, and the live state has moved on, so that some of them are read."""
    mutate(lab.state.directory, 0.05, seed=1)
    pack = max((lab.repository / "packs").rglob("*"), key=lambda one: one.stat().st_size if one.is_file() else 0)
    data = bytearray(pack.read_bytes())
    for place in range(100, len(data), 200):
        data[place] ^= 0xFF
    pack.chmod(0o600)
    pack.write_bytes(data)
    return pack


async def test_a_verification_tells_what_it_read_and_stays_in_the_list(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(lab.client(), size=(120, 40)) as operator:
        await operator.press("5")
        await operator.sees("nothing was read back in turn yet", "1 not verified", "None yet", "Nothing is known")
        await operator.press("v", "enter", "down", "down", "enter")
        await operator.sees("nothing is wrong, level full", "past every cache", "1 full", "everything")
        await operator.press("tab", "enter")
        await operator.sees("OK Verified", "About: everything", "every chunk decoded")
        await operator.press("escape", "e")
        await operator.sees("Written: maos-ckpt-integrity-")
        (path,) = tmp_path.glob("maos-ckpt-integrity-*.json")
        told = json.loads(path.read_text())
        assert told["lastRun"]["ok"]
        assert told["known"]["runs"][0]["level"] == "full"
        await operator.press("2")
        await operator.sees("full ")


async def test_damage_is_found_named_and_explained_where_it_is_met(lab: Lab) -> None:
    async with console(lab.client(), size=(120, 40)) as operator:
        pack = damage(lab)
        await operator.press("5", "v", "enter", "down", "enter")
        screen = await operator.sees("Faults were found", "XX ", "is damaged")
        assert pack.name[:8] in screen
        await operator.press("enter")
        await operator.sees("Finding: ", "Next: ")
        await operator.press("escape", "2")
        await operator.sees("X DAMAGED", "XX FAULT")
        await operator.press("exclamation_mark")
        await operator.sees("Checkpoints, 1 of 1 are problems")
        await operator.press("d")
        await operator.sees("XX Stored bytes are damaged")
        await operator.press("enter")
        await operator.sees("XX DAMAGED", "A side of this comparison is damaged", "chooses another one")
        await operator.press("5", "R")
        await operator.sees("Repair: how deep to look?", "Nothing is deleted")
        await operator.press("down", "enter")
        screen = operator.app.screen
        assert isinstance(screen, IntegrityScreen)
        before = screen.result
        await operator.until(lambda: screen.result is not before, "the repair's end")
        await operator.sees("last run", "level full")


async def test_a_read_only_console_verifies_but_offers_no_repair(lab: Lab) -> None:
    async with console(lab.client(), size=(100, 30), read_only=True) as operator:
        await operator.press("5")
        screen = await operator.sees("verify…")
        assert "repair" not in screen
        await operator.press("2")
        screen = await operator.sees("[2 Ckpts]")
        for word in ("delete", "pin", "tag", "recover", "checkpoint "):
            assert f" {word}" not in screen.splitlines()[-1]
        await operator.press("space", "x", "T", "p")
        assert "Delete" not in operator.screen
