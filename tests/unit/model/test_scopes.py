"""Quantities as Kubernetes reads them, and what objects ask for."""

from __future__ import annotations

import pytest

from tulle.model.kubernetes import ObjectMeta
from tulle.model.scopes import MEMORY, SCOPE, bytes_of, memory_asked, scope_asked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("128974848", 128974848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("128974848000m", 128974848),
        ("123Mi", 123 << 20),
        ("1.5Gi", 3 << 29),
        (".5Ki", 512),
        ("1u", 1),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e-1", 1),
        *dict.fromkeys(
            ("", "Mi", "1 Mi", "-1Mi", "1MiB", "1mi", "0x10", "1e999", "."), None
        ).items(),
        ("9" * 40, None),
    ],
)
def test_quantities(text: str, expected: int | None) -> None:
    assert bytes_of(text) == expected


def test_an_annotation_or_a_label() -> None:
    assert scope_asked(ObjectMeta("a")) == ""
    assert scope_asked(ObjectMeta("a", annotations={SCOPE: "workload"})) == "workload"
    assert scope_asked(ObjectMeta("a", labels={SCOPE: "node"})) == "node"
    assert memory_asked(ObjectMeta("a")) == 0
    assert memory_asked(ObjectMeta("a", annotations={MEMORY: "64Mi"})) == 64 << 20
