"""Hostile manifests by `apply` and in the directory: each is refused, the rest holds."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.mesh import Mesh, assert_enforced, wait_for
from tests.hostile.manifests import hostile_manifests
from tulle.cli.client import Agent
from tulle.model.paths import NodePaths


def test_each_is_refused_by_apply_with_a_reason(shop: Mesh) -> None:
    agent = Agent(NodePaths(shop.name))
    manifests = hostile_manifests()
    assert len(manifests) >= 200
    for name, data in manifests:
        answer = agent.post("/v1/apply", data, params=[("file", name)])
        assert answer["results"] == [], name
        assert answer["errors"] and all(error.startswith(name) for error in answer["errors"]), name
    assert shop.status()["refused"] == []
    assert_enforced(shop)


def test_in_the_directory_they_stand_in_status_and_change_nothing(shop: Mesh) -> None:
    directory = Path(f"/run/tulle-lab/{shop.name}/manifests")
    written = []
    for name, data in hostile_manifests():
        path = directory / f"{name.replace('/', '-')}.yaml"
        path.write_bytes(data)
        written.append(path)
    wait_for(lambda: len(shop.status()["refused"]) >= len(written), timeout_s=60)
    assert all(item["reason"] for item in shop.status()["refused"])
    assert_enforced(shop)
    shop.kill_agent()
    shop.start()
    assert_enforced(shop)
    for path in written:
        path.unlink()
    wait_for(lambda: shop.status()["refused"] == [], timeout_s=60)
    assert_enforced(shop)


def test_a_policy_that_turns_bad_stays_in_force_as_it_was(shop: Mesh) -> None:
    path = next(Path(f"/run/tulle-lab/{shop.name}/manifests").glob("networkpolicy*web*"))
    good = path.read_text()
    path.write_text(good.replace("8080", "808080"))
    wait_for(lambda: shop.status()["refused"] != [])
    [refused] = shop.status()["refused"]
    assert refused["object"] == "NetworkPolicy shop/web"
    assert "spec.ingress[0].ports[0].port" in refused["reason"]
    assert_enforced(shop)
    shop.kill_agent()
    shop.start()
    assert_enforced(shop)
    path.write_text(good)
    wait_for(lambda: shop.status()["refused"] == [])
