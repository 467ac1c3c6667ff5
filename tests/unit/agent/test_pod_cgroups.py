"""Pods' cgroups by either driver of a kubelet, wherever it has its root."""

from __future__ import annotations

from pathlib import Path

import pytest

from tulle.agent.pod_cgroups import MISSED, PodCgroups

UID = "0d1e-22-ab"
SYSTEMD = f"pod{UID.replace('-', '_')}.slice"
PLACES = [
    f"kube/kubepods/burstable/pod{UID}",
    f"pod{UID}",
    f"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-{SYSTEMD}",
    f"kubepods.slice/kubepods-{SYSTEMD}",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_pod_is_found_with_the_containers_that_came_later(tmp_path: Path, place: str) -> None:
    pod = tmp_path / "node" / place
    pod.mkdir(parents=True)
    (tmp_path / "node" / "shop_web").mkdir()
    some = PodCgroups([tmp_path / "away", tmp_path / "node"])
    assert some.ids(UID) == [pod.stat().st_ino]
    container = pod / "container"
    container.mkdir()
    assert some.ids(UID) == sorted(path.stat().st_ino for path in (pod, container))


def test_who_has_none_is_looked_for_once(tmp_path: Path) -> None:
    some = PodCgroups([tmp_path])
    assert some.ids("x") == some.ids("") == []
    (tmp_path / "podx").mkdir()
    assert some.ids("x") == []
    for number in range(MISSED):  # who are not remembered for ever
        assert some.ids(f"gone-{number}") == []
    assert some.ids("x")


def test_a_pod_that_is_gone_has_none(tmp_path: Path) -> None:
    pod = tmp_path / "podx"
    pod.mkdir()
    some = PodCgroups([tmp_path])
    assert len(some.ids("x")) == 1
    pod.rmdir()
    assert some.ids("x") == []
