"""What is added and what is removed, beside each other."""

from __future__ import annotations

from tulle.agent.proxy import merged
from tulle.model.proxy import Resource


def test_both_images_together() -> None:
    old, new, same = Resource(b"old"), Resource(b"new"), Resource(b"same")
    before = {"cluster": {"a": old, "b": same}, "route": {"r": old}}
    after = {"cluster": {"a": new, "b": same, "c": new}, "listener": {"l": new}}
    assert merged(before, after) == {
        "cluster": {"a": new, "b": same, "c": new},
        "route": {"r": old},
        "listener": {"l": new},
    }
