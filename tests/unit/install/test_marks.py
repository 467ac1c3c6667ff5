"""Marks are replaced by what is chosen."""

from __future__ import annotations

from typing import Any

from tulle.install.marks import (
    MANAGER,
    NAMESPACE,
    Each,
    Item,
    Param,
    Served,
    Setting,
    Text,
    Unless,
    When,
    settle,
    several,
)

SETTING = Setting({"a": 1, "b": "x", "no": False, "list": ["p", "q"]}, "mesh", "us", {"policy/v1"})


def test_values_and_texts() -> None:
    node = {
        "n": Param("a"),
        "t": Text("{}:{}", (Param("b"), Param("a"))),
        "of": [NAMESPACE, MANAGER],
    }
    assert settle(node, SETTING) == {"n": 1, "t": "x:1", "of": ["mesh", "us"]}


def test_conditions() -> None:
    def there(condition: Any) -> bool:
        return settle({"k": When(condition, 1)}, SETTING) == {"k": 1}

    assert there(Param("a"))
    assert not there(Param("no"))
    assert there(Unless(Param("no")))
    assert there(Served("policy/v1"))
    assert not there(Served("policy/v2"))
    assert settle([When(Param("no"), "x"), "y"], SETTING) == ["y"]


def test_one_for_each() -> None:
    assert settle(["-", Each("list", Item("<{}>"))], SETTING) == ["-", "<p>", "<q>"]
    found = list(several(Each("list", {"in": Item()}), SETTING))
    assert found == [{"in": "p"}, {"in": "q"}]
    assert list(several(When(Param("no"), {}), SETTING)) == []
