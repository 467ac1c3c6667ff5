"""The result: a table and a chart for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .figures import BASE, METRICS, Metric, Ratio, Row

CHARTED = ("p50", "rps", "connects")
CHART_WIDTH = 44
_EIGHTHS = " ▏▎▍▌▋▊▉"


def show(
    console: Console, rows: Sequence[Row], base: Mapping[str, float], failed: Mapping[str, str]
) -> None:
    """Print everything that a person wants to know of a run."""
    _print_table(console, rows, base)
    if rows:
        _print_chart(console, rows)
    for name, reason in failed.items():
        console.print(f"[red]{name} failed[/]", Text(reason))


def _print_table(console: Console, rows: Sequence[Row], base: Mapping[str, float]) -> None:
    """Ratios to `direct`, and under them what `direct` itself gave."""
    title = f"Ratios to {BASE}: median of the paired rounds ± its 95 % range"
    table = Table(title=title, box=SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("scenario", no_wrap=True)
    for metric in METRICS:
        table.add_column(metric.title, justify="right", no_wrap=True)
    for row in rows:
        cells = [_cell(metric, row.ratios[metric.key]) for metric in METRICS]
        table.add_row(row.scenario, *cells)
    table.add_section()
    measured = [f"{base[metric.key]:,.0f} {metric.unit}" for metric in METRICS]
    table.add_row(BASE, *measured, style="dim")
    console.print(table)


def _print_chart(console: Console, rows: Sequence[Row]) -> None:
    """One bar a scenario, with a mark where `direct` is."""
    width = max(len(row.scenario) for row in rows)
    for metric in METRICS:
        if metric.key not in CHARTED:
            continue
        scale = max(1.0, *(row.ratios[metric.key].median for row in rows)) * 1.05
        better = "more" if metric.more_is_better else "less"
        console.print(f"\n[bold]{metric.title}[/], {better} is better, ┊ is {BASE}")
        for row in rows:
            ratio = row.ratios[metric.key]
            line = Text(f"  {row.scenario:<{width}}  ")
            line.append(bar(ratio.median, scale), style=_style(metric, ratio))
            line.append(f"  {ratio.median:.2f}")
            console.print(line)


def bar(value: float, scale: float, width: int = CHART_WIDTH) -> str:
    """A bar of `width` characters for 0..scale, with ┊ where 1.0 is if the bar ends before.

    >>> bar(0.5, 2.0, width=8)
    '██  ┊   '
    >>> bar(1.25, 2.0, width=8)
    '█████   '
    """
    eighths = round(min(value / scale, 1.0) * width * 8)
    cells = list("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip())
    cells += " " * (width - len(cells))
    one = round(width / scale)
    if one < width and cells[one] == " ":
        cells[one] = "┊"
    return "".join(cells)


def write_json(
    path: Path, rows: Sequence[Row], base: Mapping[str, float], failed: Mapping[str, str]
) -> None:
    """Write the rows, what `direct` gave in absolute figures, and the scenarios that failed."""
    document = {
        "rows": [
            {
                "scenario": row.scenario,
                **{f"{key}_ratio": round(ratio.median, 4) for key, ratio in row.ratios.items()},
                "rounds": row.rounds,
                "spread": round(row.spread, 4),
                "spreads": {key: round(ratio.spread, 4) for key, ratio in row.ratios.items()},
            }
            for row in rows
        ],
        BASE: {
            metric.key: {"value": round(base[metric.key], 2), "unit": metric.unit}
            for metric in METRICS
        },
        "failed": [{"scenario": name, "reason": reason} for name, reason in failed.items()],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _cell(metric: Metric, ratio: Ratio) -> Text:
    return Text(f"{ratio.median:.2f} ±{ratio.error:.2f}", style=_style(metric, ratio))


def _style(metric: Metric, ratio: Ratio) -> str:
    """Colour only what stands out of the noise."""
    gain = ratio.median - 1 if metric.more_is_better else 1 - ratio.median
    if abs(gain) <= max(ratio.error, 0.02):
        return ""
    return "green" if gain > 0 else "red"
