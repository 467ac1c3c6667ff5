"""The result: a table and a chart for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .figures import Ratio, Row
from .suite import Metric, Suite

CHART_WIDTH = 44
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Result:
    """What a suite gave: `base` are the medians of its base, `failed` says who failed, and why."""

    suite: Suite
    rows: Sequence[Row]
    base: Mapping[str, float]
    failed: Mapping[str, str]


def show(console: Console, result: Result) -> None:
    """Print everything that a person wants to know of a suite."""
    _print_table(console, result)
    if result.rows:
        _print_chart(console, result)
    for name, reason in result.failed.items():
        console.print(f"[red]{name} failed[/]", Text(reason))


def _print_table(console: Console, result: Result) -> None:
    """Ratios to the base, and under them what the base itself gave."""
    suite = result.suite
    title = f"Ratios to {suite.base}: median of the paired rounds ± its 95 % range"
    table = Table(title=title, box=SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("scenario", no_wrap=True)
    for metric in suite.metrics:
        table.add_column(metric.title, justify="right")
    for row in result.rows:
        cells = [_cell(metric, row.ratios[metric.key]) for metric in suite.metrics]
        table.add_row(row.scenario, *cells)
    table.add_section()
    measured = [f"{result.base[metric.key]:,.0f} {metric.unit}" for metric in suite.metrics]
    table.add_row(suite.base, *measured, style="dim")
    console.print(table)


def _print_chart(console: Console, result: Result) -> None:
    """One bar a scenario, with a mark where the base is."""
    width = max(len(row.scenario) for row in result.rows)
    for metric in result.suite.metrics:
        if metric.key not in result.suite.headline:
            continue
        scale = max(1.0, *(row.ratios[metric.key].median for row in result.rows)) * 1.05
        better = "more" if metric.more_is_better else "less"
        base = result.suite.base
        console.print(f"\n[bold]{metric.title}[/], {better} is better, ┊ is {base}")
        for row in result.rows:
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


def write_json(path: Path, results: Sequence[Result]) -> None:
    """Write all rows, what their bases gave in absolute figures, and the scenarios that failed."""
    document: dict[str, object] = {
        "rows": [_as_json(result.suite.base, row) for result in results for row in result.rows],
        "failed": [
            {"scenario": name, "reason": reason}
            for result in results
            for name, reason in result.failed.items()
        ],
    }
    for result in results:
        document[result.suite.base] = {
            metric.key: {"value": round(result.base[metric.key], 2), "unit": metric.unit}
            for metric in result.suite.metrics
        }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _as_json(base: str, row: Row) -> dict[str, object]:
    return {
        "scenario": row.scenario,
        "base": base,
        **{f"{key}_ratio": round(ratio.median, 4) for key, ratio in row.ratios.items()},
        "rounds": row.rounds,
        "spread": round(row.spread, 4),
        "spreads": {key: round(ratio.spread, 4) for key, ratio in row.ratios.items()},
    }


def _cell(metric: Metric, ratio: Ratio) -> Text:
    return Text(f"{ratio.median:.2f} ±{ratio.error:.2f}", style=_style(metric, ratio))


def _style(metric: Metric, ratio: Ratio) -> str:
    """Colour only what stands out of the noise."""
    gain = ratio.median - 1 if metric.more_is_better else 1 - ratio.median
    if abs(gain) <= max(ratio.error, 0.02):
        return ""
    return "green" if gain > 0 else "red"
