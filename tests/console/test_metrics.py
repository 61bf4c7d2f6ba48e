"""The metrics: what is drawn, what is held against which target, and that they are those of `maos-ckpt metrics`."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.main import main
from maos_ckpt.errors import ConflictError, StorageError
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui import metrics_export, trends
from maos_ckpt_tui.export_file import write_new
from maos_ckpt_tui.measures import measures, tier_lines
from maos_ckpt_tui.plots import AXIS_CELLS, Plot, draw_plot, edges, nice_top, place_of, sparkline, time_axis
from maos_ckpt_tui.widgets.lines import line_width
from maos_ckpt_tui.widgets.metric_list import MetricList
from maos_ckpt_tui.widgets.plot_grid import PlotGrid
from tests.console.fixtures import AWAY, NOW_MS, make_checkpoints, make_tiers
from tests.console.frozen_client import FrozenClient
from tests.console.frozen_metrics import day_report
from tests.console.real import NEVER_S, build_lab, console

VALUES = st.lists(st.none() | st.floats(0, 1e12), min_size=1, max_size=200)


@given(VALUES, st.integers(12, 200), st.integers(1, 20), st.floats(0.001, 1e9))
def test_a_plot_fills_its_room_and_its_highest_bar_stays_inside(
    values: list[float | None], width: int, rows: int, target: float
) -> None:
    plot = Plot(tuple(values), lambda _: "x", target)
    lines = draw_plot(plot, width, rows, len(values) - 1)
    assert len(lines) == rows
    assert {line_width(line) for line in lines} == {width}
    assert max((one for one in values if one is not None), default=0.0) <= plot.top * 1.001
    places = [place_of(at, len(values), width) for at in range(len(values))]
    assert places == sorted(places)
    assert AXIS_CELLS <= places[0] <= places[-1] < width


def test_a_bar_is_as_high_as_its_value_and_a_missed_target_shows() -> None:
    plot = Plot((1.0, None, 4.0, 2.0), fmt.duration, 2.0)
    lines = draw_plot(plot, AXIS_CELLS + 4, 4, None)
    columns = ["".join("".join(text for text, _ in line)[AXIS_CELLS + at] for line in lines) for at in range(4)]
    assert columns == ["  -█", "  -.", "████", "  ██"]
    assert any(tone == "warn" and "█" in text for line in lines for text, tone in line)
    assert "2 s" in lines[2][0][0]
    assert "4 s" in lines[0][0][0]
    assert [plot.misses(one) for one in (1.0, 2.0, 2.1)] == [False, False, True]


def test_more_values_than_cells_keep_their_peaks() -> None:
    values = [1.0] * 1000
    values[567] = 9.0
    text = "".join(part for line in draw_plot(Plot(tuple(values), str), AXIS_CELLS + 50, 1, None) for part, _ in line)
    assert text.count("▇") + text.count("█") == 1
    assert len(edges(1000, AXIS_CELLS + 50)) == 51


def test_sparklines_end_with_the_newest_value() -> None:
    assert sparkline([0.0, 4.0, 8.0], 4) == " ▁▄█"
    assert sparkline([1.0, None, 2.0], 2) == " █"
    assert cell_len(sparkline([], 7)) == 7
    assert [nice_top(one) for one in (5e-324, 0.9, 1.2, 6.3, 251.0)] == pytest.approx([1.0, 1.0, 1.5, 8.0, 300.0])


def test_labels_of_a_time_axis_neither_touch_nor_hide_the_mark() -> None:
    line = time_axis([(0, "09:00"), (3, "10:00"), (6, "11:00"), (12, "12:00")], 20, 13)
    assert "".join(text for text, _ in line) == "09:00 11:00  ▲      "


def test_a_day_is_judged_by_its_percentiles_and_told_with_its_targets() -> None:
    report = day_report(24)
    found = {one.name: one for one in trends.series(report)}
    assert found["save"].bound == ("< 5 s", "dim")
    assert not found["save"].missed
    strict = replace(report, targets=replace(report.targets, save_time_s=0.5, compression_ratio=20.0))
    found = {one.name: one for one in trends.series(strict)}
    assert (found["save"].sign, found["save"].bound) == (("!!", "warn"), ("over 0.50 s", "warn"))
    assert (found["ratio"].sign, found["ratio"].bound) == (("!!", "warn"), ("under 20:1", "warn"))
    shown = {name: value for name, value, _ in trends.totals(report)}
    assert shown["checkpoints"] == "285 ever, 64 kept"
    assert (shown["compression"], shown["errors"]) == ("14:1", "1.0 % (3)")
    assert shown["disk full in"].startswith("over a year")
    young = replace(report, since_ms=report.until_ms - 600_000)
    assert "growth" not in {name for name, _, _ in trends.totals(young)}


def test_days_to_full_are_free_bytes_by_what_a_day_adds() -> None:
    report = day_report(24)
    added = sum(one.value or 0 for one in report.stored_bytes_trend)
    held = replace(report.holding, free_bytes=int(added * 3))
    shown = {name: (value, tone) for name, value, tone in trends.totals(replace(report, holding=held))}
    assert shown["disk full in"][0].startswith("3 d")
    assert shown["disk full in"][1] == "warn"


@pytest.mark.parametrize(("value", "words"), [(1.0, "100 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %"), (0.0, "0 %")])
def test_a_share_is_never_rounded_to_all_or_nothing(value: float, words: str) -> None:
    assert trends.percent(value) == words


def test_the_glance_names_every_missed_target() -> None:
    listed, report = make_checkpoints(30), day_report(24)
    calm = {one.name: one for one in measures(listed, report)}
    assert [calm[name].sign[0] for name in ("save", "ratio", "lock", "errors")] == ["OK", "OK", "OK", "!!"]
    assert (calm["errors"].value, calm["errors"].target[0]) == ("1.0 %", "over 0 %")
    slow = [replace(listed[0], duration_s=7.5, capture=replace(listed[0].capture, lock_s=0.9)), *listed[1:]]
    found = {one.name: one for one in measures(slow, replace(report, compression_ratio=4.0))}
    assert found["save"].target == ("over 5 s", "warn")
    assert found["lock"].target == ("over 0.50 s", "warn")
    assert found["ratio"].target == ("under 10:1", "warn")
    assert {one.value for one in measures([], None)} == {"-"}


def test_tiers_tell_what_waits_how_old_and_the_breaker() -> None:
    client = FrozenClient()
    client.tiers = make_tiers(**AWAY)
    text = "\n".join("".join(part for part, _ in line) for line in tier_lines(client.status(), NOW_MS))
    assert "!! s3    away" in text
    assert "spool: 7 checkpoints (1.2 MiB), oldest 3 min ago" in text
    assert "breaker open" in text
    client.tiers = client.tiers[:1]
    text = "\n".join("".join(part for part, _ in line) for line in tier_lines(client.status(), NOW_MS))
    assert "no remote copy" in text


async def test_the_screen_says_what_the_command_line_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values on the screen, the exported file, and `maos-ckpt metrics --json` are the same."""
    lab = build_lab(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAOS_CKPT_INTERVAL_SECONDS", str(NEVER_S))
    monkeypatch.setattr(Context, "configure_logging", lambda _: None)
    async with console(lab.client(), size=(120, 40)) as operator:
        await operator.save("one")
        await operator.press("8")
        screen = await operator.sees("Last 24 h", "[24 h]", "Save time", "No recovery in this time.")
        assert "2 ever, 2 kept" in screen
        await operator.press("e")
        await operator.sees("Export the metrics of the last 24 h")
        await operator.press("enter")
        await operator.sees("Written: ")
        (written,) = tmp_path.glob("maos-ckpt-metrics-24h-*.json")
        row = next(line for line in operator.screen.splitlines() if "Save time" in line)
        assert operator.app.command_log.entries[0].line.startswith("maos-ckpt metrics --hours 24 --json > ")
    capsys.readouterr()
    assert main(["--repo", str(lab.repository), "metrics", "--hours", "24", "--json"], lambda *_: 1) == 0
    told, exported = json.loads(capsys.readouterr().out), json.loads(written.read_text())
    # Of the disk's own moving figure only that it is told.
    assert told.pop("free_bytes") > 0 < exported.pop("free_bytes")
    assert exported == {key: value for key, value in told.items() if key in exported}
    assert (exported["saves"], exported["targets"]["lock_time_s"]) == (2, 0.5)
    assert fmt.duration(told["average_save_time"]) in row
    assert fmt.duration(told["save_time"]["p95_s"]) in row


async def test_windows_the_cursor_and_figures_by_key(tmp_path: Path) -> None:
    async with console(build_lab(tmp_path).client(), size=(80, 24)) as operator:
        await operator.press("8")
        await operator.sees("[24 h]", "> Save time")
        await operator.press("plus")
        await operator.sees("[7 d]")
        await operator.press("plus")
        await operator.sees("there is no more")
        await operator.press("minus", "minus", "minus")
        await operator.sees("[1 h]", "1 save")
        await operator.press("left")
        await operator.sees("nothing measured")
        await operator.press("right", "down")
        await operator.sees("> Recovery time", "No recovery in this time.")
        assert operator.app.screen.query_one(MetricList).cursor == 1
        assert operator.app.screen.query_one(PlotGrid).size.height > 0
        await operator.press("escape")
        await operator.sees("Timeline")


def test_csv_has_a_line_for_each_stretch_of_time() -> None:
    report = day_report(24)
    rows = list(csv.DictReader(metrics_export.as_csv(report).splitlines()))
    assert len(rows) == len(report.save_time_trend)
    assert sum(int(row["save_count"]) for row in rows) == report.saves
    assert [float(row["save"]) if row["save"] else None for row in rows] == [
        one.value for one in report.save_time_trend
    ]


def test_nothing_is_written_over_or_into_nowhere(tmp_path: Path) -> None:
    path = write_new(tmp_path / "a.json", "one")
    assert os.stat(path).st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError) as caught:
        write_new(path, "two")
    assert caught.value.hint
    assert path.read_text() == "one"
    with pytest.raises(StorageError, match="cannot be written"):
        write_new(tmp_path / "gone" / "a.json", "x")
