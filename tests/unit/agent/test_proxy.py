"""What is added and what is removed, beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.unit.edges.envoy.sample import cluster
from tulle.agent.options import ProxyOptions
from tulle.agent.proxy import Proxy, merged
from tulle.edges.cgroup import NodeCgroup
from tulle.edges.envoy.access import Entry
from tulle.model.paths import NodePaths
from tulle.model.proxy import Resource, XdsImage
from tulle.model.scopes import NODE


def test_both_images_together() -> None:
    old, new, same = Resource(b"old"), Resource(b"new"), Resource(b"same")
    before = {"cluster": {"a": old, "b": same}, "route": {"r": old}}
    after = {"cluster": {"a": new, "b": same, "c": new}, "listener": {"l": new}}
    assert merged(before, after) == {
        "cluster": {"a": new, "b": same, "c": new},
        "route": {"r": old},
        "listener": {"l": new},
    }


def test_what_a_failed_pass_added_goes_with_the_next_one_that_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may have been told of it, so not before that."""

    async def take(entries: Iterable[Entry]) -> None: ...

    def image(name: str) -> XdsImage:
        return {"cluster": {name: cluster(name, type="STATIC")}}

    async def main() -> None:
        proxy, told = (
            Proxy(NodePaths("n"), NODE, NodeCgroup(tmp_path, "tulle-n"), ProxyOptions(1), take),
            [],
        )
        monkeypatch.setattr(proxy.ads, "update", lambda image: told.append(set(image["cluster"])))
        before = image("before")
        for wanted, holds in ((before, True), (image("failed"), False), (before, True)):
            await proxy.add(wanted)
            if holds:
                proxy.remove(wanted)
        assert told[-3:] == [{"before", "failed"}, {"before", "failed"}, {"before"}]

    asyncio.run(main())
