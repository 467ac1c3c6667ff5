"""A node among others: what it knows after a restart, and that it is forgotten when it goes."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tulle.agent.neighbours import Neighbours
from tulle.agent.options import NodeOptions
from tulle.errors import Unavailable
from tulle.model.world import Node


@pytest.fixture
def paths(tmp_path: Path) -> Any:
    (tmp_path / "state").mkdir()
    return SimpleNamespace(state=tmp_path / "state")


@pytest.fixture
def options(tmp_path: Path) -> NodeOptions:
    return NodeOptions("a", cluster=tmp_path / "shared")


def told(options: NodeOptions) -> list[str]:
    assert options.cluster
    return sorted(path.name for path in (options.cluster / "nodes").iterdir())


def test_a_node_joins_and_is_forgotten_when_it_is_taken_down(
    paths: Any, options: NodeOptions
) -> None:
    neighbours = Neighbours(paths, options)
    assert not neighbours.scan().nodes
    neighbours.tell(Node("a"), {})
    assert told(options) == ["a.json"]
    (joined,) = neighbours.created().values()
    again = Neighbours(paths, options)
    assert again.created() == {"a": joined}
    asyncio.run(again.withdraw())
    assert told(options) == []


def test_a_directory_that_is_away_at_a_restart_is_no_empty_mesh(
    paths: Any, options: NodeOptions
) -> None:
    Neighbours(paths, options)
    assert options.cluster
    shutil.rmtree(options.cluster)
    with pytest.raises(Unavailable):
        Neighbours(paths, options).scan()
    assert not options.cluster.exists()


def test_a_node_that_is_alone_tells_nobody(paths: Any) -> None:
    alone = Neighbours(paths, NodeOptions("a"))
    alone.tell(Node("a"), {})
    assert not alone.scan().nodes and alone.created() == {}
    asyncio.run(alone.withdraw())
    assert not list(paths.state.iterdir())
