from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from bench import report
from bench.catalogue import ONE_NODE
from bench.figures import Ratio, Row

RATIOS = {metric.key: Ratio(1.04, 0.02, 7) for metric in ONE_NODE.metrics}
ROW = Row("nftables-10000", 7, RATIOS, spread=0.02)
ABSOLUTE = {metric.key: 123456.0 for metric in ONE_NODE.metrics}


def test_bar_marks_one_where_the_bar_ends_before_it() -> None:
    assert report.bar(0.5, 2.0, width=8) == "██  ┊   "
    assert report.bar(1.25, 2.0, width=8) == "█████   "
    assert report.bar(9.0, 2.0, width=8) == "████████"


def test_json_has_a_row_a_scenario_and_tells_failures(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    result = report.Result(ONE_NODE, [ROW], ABSOLUTE, {"nftables-1": "nft is not installed"})
    report.write_json(path, [result])
    document = json.loads(path.read_text())
    (row,) = document["rows"]
    ratios = ("p50_ratio", "p99_ratio", "rps_ratio", "connects_ratio", "cpu_ratio")
    assert all(row[key] == 1.04 for key in ratios)
    assert row["base"] == "direct" and document["direct"]["p50"]["unit"] == "µs"
    assert (row["scenario"], row["rounds"], row["spread"]) == ("nftables-10000", 7, 0.02)
    assert document["failed"] == [{"scenario": "nftables-1", "reason": "nft is not installed"}]


def test_show_fits_into_80_columns_and_tells_failures() -> None:
    out = io.StringIO()
    result = report.Result(ONE_NODE, [ROW], ABSOLUTE, {"nftables-1": "no nft"})
    report.show(Console(file=out, width=80), result)
    assert "1.04 ±0.01" in out.getvalue()
    assert "…" not in out.getvalue()
    assert "nftables-1 failed no nft" in out.getvalue()


def test_show_without_rows_gives_what_direct_gave() -> None:
    out = io.StringIO()
    report.show(Console(file=out, width=80), report.Result(ONE_NODE, [], ABSOLUTE, {}))
    assert "direct" in out.getvalue()
