"""What may not be touched, and files of a cgroup read right, on a plain directory."""

from pathlib import Path

import pytest

from tulle.edges.cgroup import NodeCgroup, find_mount, mount_in
from tulle.errors import Broken, Refused


@pytest.fixture
def cgroups(tmp_path: Path) -> NodeCgroup:
    return NodeCgroup(tmp_path, "tulle-n1")


def test_nothing_outside_of_the_node_is_touched(cgroups: NodeCgroup, tmp_path: Path) -> None:
    outside = (tmp_path, tmp_path / "system.slice", tmp_path / "tulle-n1/../tulle-n2")
    for path in outside:
        for act in (cgroups.kill, cgroups.remove, cgroups.pids, cgroups.populated):
            with pytest.raises(Refused, match="not below"):
                act(path)
    with pytest.raises(Refused, match="not below"):
        cgroups.make("..", "other")


@pytest.mark.parametrize("name", ["", ".", "system.slice", "tulle-/..", "tulle"])
def test_only_a_node_of_tulles_has_cgroups(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not one of Tulle's"):
        NodeCgroup(tmp_path, name)


def test_processes_of_the_whole_tree_are_found(cgroups: NodeCgroup) -> None:
    parent, child = cgroups.make("shop_web"), cgroups.make("shop_web", "main")
    (parent / "cgroup.procs").write_text("1\n")
    (child / "cgroup.procs").write_text("22\n333\n")
    assert sorted(cgroups.pids(parent)) == [1, 22, 333]


def test_populated_and_used_are_told_apart(cgroups: NodeCgroup) -> None:
    path = cgroups.make("shop_web")
    states = []
    for events, usage in ((0, 0), (1, 5), (0, 7)):
        (path / "cgroup.events").write_text(f"populated {events}\nfrozen 0\n")
        (path / "cpu.stat").write_text(f"usage_usec {usage}\nuser_usec 0\n")
        states.append((cgroups.populated(path), cgroups.ever_used(path)))
    assert states == [(False, False), (True, True), (False, True)]


def test_memory_is_limited_where_the_hierarchy_can(cgroups: NodeCgroup) -> None:
    path = cgroups.make("proxy", "node")
    (cgroups.root / "cgroup.controllers").write_text("cpu pids\n")
    assert not cgroups.limit_memory(path, 1 << 30)
    assert not (path / "memory.max").exists()
    (cgroups.root / "cgroup.controllers").write_text("cpu memory pids\n")
    assert cgroups.limit_memory(path, 1 << 30)
    for above in (cgroups.root, path.parent):
        assert (above / "cgroup.subtree_control").read_text() == "+memory"
    assert (path / "memory.max").read_text() == "1073741824"


def test_absent_cgroup_is_empty_and_may_be_removed(cgroups: NodeCgroup) -> None:
    path = cgroups.root / "shop_gone"
    assert not cgroups.populated(path) and not cgroups.ever_used(path)
    assert not cgroups.pids(path) and not cgroups.children(path)
    cgroups.remove(path)


def test_mount_is_found() -> None:
    assert (find_mount() / "cgroup.controllers").exists()


V1 = "30 29 0:26 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids"


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([f"{V1}", "31 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 none rw"], ("unified", 0)),
        # a part of the hierarchy in the whole one's place: programs still count from the top
        (
            [
                "31 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 none rw",
                "45 31 0:27 /nodes/a /sys/fs/cgroup/unified rw - cgroup2 none rw",
                "46 29 0:27 /other /mnt rw - cgroup2 none rw",
            ],
            ("unified", 2),
        ),
        (["31 29 0:27 /../.. /sys/fs/cgroup/unified rw - cgroup2 none rw"], ("unified", 0)),
    ],
)
def test_where_the_hierarchy_is_and_what_of_it(lines: list[str], wanted: tuple[str, int]) -> None:
    name, depth = wanted
    assert mount_in("\n".join(lines)) == (Path("/sys/fs/cgroup") / name, depth)


def test_without_the_hierarchy_it_is_told_how_to_get_it() -> None:
    with pytest.raises(Broken, match="mount -t cgroup2"):
        mount_in(V1)
