"""docs/conformance.md, made of the table: `python -m tests.e2e.conformance.document` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conformance.rows import ALL
from tests.e2e.conformance.table import FEATURES, Row

PATH = Path(__file__).parents[3] / "docs" / "conformance.md"
HEAD = """\
# Conformance

Made of the table below tests/e2e/conformance by `python -m tests.e2e.conformance.document`.

Every feature that the Gateway API's published list names, and what is tried of it: with real
requests, through the agent, the kernel and the node's Envoy, by clients in workloads and outside of
the mesh, to backends on two nodes (`./run test tests/e2e/test_gateways.py
tests/e2e/test_gateway_routes.py tests/e2e/test_mesh_routes.py`). What is "not yet" must fail there.
"""


def document() -> str:
    passed = sum(_passes(feature) for names in FEATURES.values() for feature in names)
    count = sum(map(len, FEATURES.values()))
    lines = [HEAD, f"{passed} of {count} features pass, in {len(ALL)} rows."]
    for group, features in FEATURES.items():
        lines += ["", f"## {group}", "", "| feature | | what is tried |", "|---|---|---|"]
        lines += [_line(feature) for feature in features]
    return "\n".join(lines) + "\n"


def rows_of(feature: str) -> list[Row]:
    return [row for row in ALL if row.feature == feature]


def _passes(feature: str) -> bool:
    return not any(row.missing for row in rows_of(feature))


def _line(feature: str) -> str:
    tried = dict.fromkeys(row.says for row in rows_of(feature))
    missing = dict.fromkeys(row.missing for row in rows_of(feature) if row.missing)
    text = "; ".join([*tried, *(f"**{item}**" for item in missing)])
    return f"| {feature} | {'pass' if _passes(feature) else 'not yet'} | {text} |"


if __name__ == "__main__":
    PATH.write_text(document())
