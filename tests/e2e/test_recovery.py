"""What is taken away behind the agent's back: nothing opens by it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.e2e.mesh import Mesh, assert_enforced, wait_for
from tulle import abi
from tulle.edges import netlink, netns
from tulle.edges.bpf import syscall
from tulle.edges.bpf.maps import Map
from tulle.model.paths import NodePaths


def epoch(mesh: Mesh) -> int:
    fd = syscall.get_pinned(f"/sys/fs/bpf/tulle/{mesh.name}/v{abi.ABI_HASH}/state")
    try:
        return abi.State.unpack(Map("state", fd)[bytes(4)]).epoch
    finally:
        os.close(fd)


def test_the_directory_is_away_when_an_agent_starts(shop: Mesh) -> None:
    manifests = Path(f"/run/tulle-lab/{shop.name}/manifests")
    away = manifests.rename(manifests.with_name("away"))
    shop.kill_agent()
    shop.start()
    assert shop.status()["health"] == "degraded"
    assert_enforced(shop)
    away.rename(manifests)
    wait_for(lambda: shop.status()["health"] == "ok")
    assert_enforced(shop)


def test_a_new_agent_has_every_connection_judged_again(shop: Mesh) -> None:
    """The one before may have been killed between its last write and the new epoch."""
    before = epoch(shop)
    shop.kill_agent()
    shop.start()
    assert epoch(shop) > before


def strip_workloads() -> None:
    """Of all packet programs on their interfaces."""
    ours = list(filter(netlink.is_ours, netlink.interfaces()))
    assert ours
    for name in ours:
        subprocess.run(["tc", "qdisc", "del", "dev", name, "clsact"], check=True)


def test_hooks_that_somebody_removed_are_put_back(shop: Mesh) -> None:
    links = Path(f"/sys/fs/bpf/tulle/{shop.name}/links")
    pins = {pin.name for pin in links.glob("*-*")}
    for name in pins:
        (links / name).unlink()
    netns.run_in(NodePaths(shop.name).netns, strip_workloads)
    # the agent looks at everything again every 30 s
    wait_for(lambda: {pin.name for pin in links.glob("*-*")} == pins != set(), 60)
    assert_enforced(shop)


def test_a_socket_hook_that_was_removed_is_put_back(shop: Mesh) -> None:
    links = Path(f"/sys/fs/bpf/tulle/{shop.name}/links")
    shop.kill_agent()
    (links / "connect4").unlink()
    shop.start()
    assert_enforced(shop)


def test_numbers_are_lost(shop: Mesh) -> None:
    shop.kill_agent()
    Path(f"/run/tulle/{shop.name}/ids.json").unlink()
    shop.start()
    assert shop.status()["health"] == "ok"
    assert_enforced(shop)
