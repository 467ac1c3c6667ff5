"""The directory that nodes share: read when it changed, one bad file its own trouble."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tulle.agent.nodes import NodeDirectory
from tulle.agent.published import node_object
from tulle.errors import Unavailable
from tulle.model.kubernetes import NodeObject
from tulle.model.world import Key, Node, Workload


def told_by(cluster: Path, name: str, *workloads: Workload) -> NodeDirectory:
    """What the agent of the node `name` would have written."""
    directory = NodeDirectory(cluster, name)
    directory.publish(_node(name), {workload.key: workload for workload in workloads})
    return directory


def _node(name: str) -> NodeObject:
    number = ord(name) - ord("a")
    cidr = ip_network(f"10.244.{number}.0/24")
    address = ip_address(f"192.0.2.{number}")
    return node_object(Node(name, (address,), pod_cidrs=(cidr,)), "2026-01-01T00:00:00Z")


def web(node: str, name: str = "web") -> Workload:
    number = ord(node) - ord("a")
    return Workload("shop", name, {}, (ip_address(f"10.244.{number}.2"),), 0, node=node)


def test_a_node_sees_the_others_and_not_itself(tmp_path: Path) -> None:
    own = told_by(tmp_path, "a", web("a"))
    told_by(tmp_path, "b", web("b"))
    told_by(tmp_path, "c")
    seen = own.scan()
    assert list(seen.nodes) == ["b", "c"] and not seen.refusals
    assert dict(seen.nodes["b"].workloads) == {("shop", "web"): web("b")}
    assert [path.name for path in tmp_path.rglob("*.json")] and not list(tmp_path.glob(".*"))


def test_what_has_not_changed_is_neither_read_nor_written_again(tmp_path: Path) -> None:
    own, other = NodeDirectory(tmp_path, "a"), NodeDirectory(tmp_path, "b")
    workloads = {("shop", "web"): web("b")}
    other.publish(_node("b"), workloads)
    before = own.scan().nodes["b"]
    stamp = other.file.stat()
    other.publish(_node("b"), workloads)
    assert other.file.stat() == stamp
    assert own.scan().nodes["b"] is before
    told_by(tmp_path, "c")
    assert own.scan().nodes["b"] is before


def test_a_bad_file_keeps_what_was_good_and_is_told(tmp_path: Path) -> None:
    own, other = NodeDirectory(tmp_path, "a"), told_by(tmp_path, "b", web("b"))
    good = own.scan()
    other.file.write_bytes(b"{")
    (tmp_path / "nodes/c.json").write_bytes(b"{}")
    seen = own.scan()
    assert seen.nodes == good.nodes
    assert [str(item.ref) for item in seen.refusals] == ["Node b", "Node c"]
    assert "b.json: cannot be read" in seen.refusals[0].reason
    assert "what it said before holds" in seen.refusals[0].reason
    assert "holds" not in seen.refusals[1].reason
    assert own.scan().refusals == seen.refusals
    told_by(tmp_path, "b")
    assert own.scan().nodes["b"].workloads == {}


def test_a_bad_pod_is_told_and_the_others_of_its_node_are_there(tmp_path: Path) -> None:
    own = NodeDirectory(tmp_path, "a")
    stray = replace(web("b", "stray"), addresses=(ip_address("203.0.113.1"),))
    told_by(tmp_path, "b", web("b"), stray)
    seen = own.scan()
    assert set(seen.nodes["b"].workloads) == {("shop", "web")}
    assert [str(item.ref) for item in seen.refusals] == ["Pod shop/stray"]
    assert "as node b tells of it, status.podIPs[0].ip" in seen.refusals[0].reason


def test_what_somebody_did_to_its_own_file_is_mended(tmp_path: Path) -> None:
    own = NodeDirectory(tmp_path, "a")
    nobody: dict[Key, Workload] = {}
    own.publish(_node("a"), nobody)
    good = own.file.read_bytes()
    for harm in (own.file.unlink, lambda: own.file.write_bytes(b"{}")):
        harm()
        own.publish(_node("a"), nobody)
        assert own.file.read_bytes() == good


def test_a_node_is_gone_with_its_file(tmp_path: Path) -> None:
    own, other = NodeDirectory(tmp_path, "a"), told_by(tmp_path, "b")
    assert own.scan().nodes
    other.file.unlink()
    assert own.scan().nodes == {}


def test_a_directory_that_is_away_changes_nothing(tmp_path: Path) -> None:
    own = told_by(tmp_path, "a")
    told_by(tmp_path, "b")
    good = own.scan()
    (tmp_path / "nodes").rename(tmp_path / "away")
    seen = own.scan()
    assert seen.nodes == good.nodes
    assert "what was known of other nodes holds" in seen.refusals[0].reason
    own.publish(_node("a"), {})
    assert any("do not learn of this one" in item.reason for item in own.scan().refusals)
    (tmp_path / "away").rename(tmp_path / "nodes")
    own.publish(_node("a"), {})
    assert not own.scan().refusals


def test_as_long_as_nothing_is_known_a_directory_that_is_away_is_not_empty(tmp_path: Path) -> None:
    told_by(tmp_path, "b")
    (tmp_path / "nodes").rename(tmp_path / "away")
    own = NodeDirectory(tmp_path, "a", joins=False)
    with pytest.raises(Unavailable, match="nodes cannot be read: No such file or directory"):
        own.scan()
    (tmp_path / "away").rename(tmp_path / "nodes")
    assert list(own.scan().nodes) == ["b"]


def test_what_is_no_file_of_a_node_is_its_own_trouble(tmp_path: Path) -> None:
    own = told_by(tmp_path, "a")
    told_by(tmp_path, "b")
    os.mkfifo(tmp_path / "nodes/pipe.json")
    (tmp_path / "nodes/ring.json").symlink_to("ring.json")
    seen = own.scan()
    assert list(seen.nodes) == ["b"]
    assert [str(item.ref) for item in seen.refusals] == ["Node pipe", "Node ring"]
    assert "is not a regular file" in seen.refusals[0].reason
    assert "symbolic links" in seen.refusals[1].reason


def test_a_file_that_could_not_be_read_once_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = NodeDirectory(tmp_path, "a"), told_by(tmp_path, "b")
    before = own.scan()
    other.publish(_node("b"), {("shop", "web"): web("b")})

    def fail(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        seen = own.scan()
    assert seen.nodes == before.nodes and "Input/output error" in seen.refusals[0].reason
    seen = own.scan()
    assert seen.nodes["b"].workloads and not seen.refusals


def test_what_it_said_of_itself_is_known_again(tmp_path: Path) -> None:
    assert NodeDirectory(tmp_path, "a").own() is None
    told_by(tmp_path, "a")
    assert NodeDirectory(tmp_path, "a").own() == _node("a")


def test_it_tells_when_another_node_has_news(tmp_path: Path) -> None:
    own = NodeDirectory(tmp_path, "a")

    async def story() -> None:
        news = asyncio.Event()
        own.watch(news.set)
        try:
            told_by(tmp_path, "b")
            await asyncio.wait_for(news.wait(), 5)
        finally:
            own.unwatch()

    asyncio.run(story())
