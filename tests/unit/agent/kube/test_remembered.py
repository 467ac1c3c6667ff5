"""Other nodes, kept over a restart: a change costs its lines, and what is cut off never counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.agent.kube import test_census as told
from tulle.agent.kube import remembered as module
from tulle.agent.kube.census import Census
from tulle.agent.kube.remembered import Remembered


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "others.json"


def recalled(path: Path) -> dict[str, set[str]]:
    """The Pods of each node."""
    others = Remembered(path).recall()
    assert others is not None
    return {name: {key[1] for key in state.workloads} for name, state in others.nodes.items()}


def a_census() -> Census:
    return told.a_census(told.pod(), told.pod("far", "c", "10.244.3.5"))


def test_a_change_adds_what_it_is_about(path: Path) -> None:
    census, memory = a_census(), Remembered(path)
    assert memory.recall() is None
    memory.remember(census.others())
    whole = path.read_bytes()
    assert recalled(path) == {"b": {"web"}, "c": {"far"}} and path.stat().st_mode & 0o777 == 0o600
    memory.remember(census.others())
    assert path.read_bytes() == whole
    census.put_pod(*told.pod("more", ip="10.244.2.6"))
    memory.remember(census.others())
    assert path.read_bytes().startswith(whole) and path.read_bytes().count(b"\n") == 3
    census.drop_node("c")
    memory.remember(census.others())
    assert recalled(path) == {"b": {"web", "more"}}
    census.put_node(*told.node("c", 3))
    memory.remember(census.others())
    assert recalled(path) == {"b": {"web", "more"}, "c": {"far"}}
    assert not memory.problems
    memory.close()


def test_a_line_without_its_end_never_counted(path: Path) -> None:
    census, memory = a_census(), Remembered(path)
    memory.remember(census.others())
    whole = len(path.read_bytes())
    census.drop_pod(("shop", "web"))
    memory.remember(census.others())
    memory.close()
    said = path.read_bytes()
    for end in (whole, len(said) - 1):
        path.write_bytes(said[:end])
        assert recalled(path) == {"b": {"web"}, "c": {"far"}}
    path.write_bytes(said + b"nonsense\n")
    assert recalled(path) == {"b": set(), "c": {"far"}}


def test_it_is_written_anew_when_half_of_it_is_old_or_it_has_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLACK_BYTES", 0)
    census, memory = a_census(), Remembered(path)
    memory.remember(census.others())
    most = 3 * len(path.read_bytes()) + 500
    for number in range(20):
        census.put_pod(*told.pod(ip=f"10.244.2.{number + 5}"))
        memory.remember(census.others())
        assert len(path.read_bytes()) < most
    path.unlink()
    memory.remember(census.others())
    assert recalled(path) == {"b": {"web"}, "c": {"far"}}
    path.unlink()
    path.mkdir()
    memory.remember(census.others())
    (problem,) = memory.problems
    assert "would not know the other nodes" in problem
    path.rmdir()
    memory.remember(census.others())
    assert not memory.problems and recalled(path).keys() == {"b", "c"}
    memory.close()
