"""The agent dies; traffic and policy do not notice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.e2e.mesh import HERE, Mesh, admit, service, wait_for

KEPT, FRESH = 1000, 1000
LOAD = (sys.executable, str(HERE / "load.py"))


@pytest.fixture(scope="module")
def shop(mesh: Mesh) -> Iterator[Mesh]:
    mesh.serve("web-1", app="web")
    mesh.serve("web-2", app="web")
    mesh.run("client", "sleep", "inf")
    mesh.run("stranger", "sleep", "inf")
    mesh.apply(service("web", "web"), admit("web", "web", "client"))
    yield mesh


def url(mesh: Mesh) -> str:
    return f"http://{mesh.get('services')[0]['cluster_ips'][0]}/"


def load(mesh: Mesh, kept: int) -> subprocess.Popen[str]:
    address = mesh.get("services")[0]["cluster_ips"][0]
    child = mesh.spawn("client", *LOAD, address, "80", str(kept))
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


def test_no_connection_fails_while_the_agent_is_killed_three_times(shop: Mesh) -> None:
    target = url(shop)
    traffic = load(shop, KEPT)
    for _ in range(3):
        shop.kill_agent()
        assert shop.get_http_direct("stranger", target) == ""  # no agent, and still denied
        time.sleep(1)
        shop.start()
        assert shop.get_http("stranger", target) == ""
    time.sleep(1)
    result = json.loads(traffic.communicate()[0])
    assert result["kept"]["failed"] == result["fresh"]["failed"] == 0, result
    assert result["kept"]["requests"] > KEPT
    assert result["fresh"]["requests"] >= FRESH, "too few to say anything"


def test_a_changed_policy_cuts_established_connections_and_gives_them_back(shop: Mesh) -> None:
    traffic = load(shop, 10)
    shop.apply(admit("web", "web"))
    flows: list[dict[str, object]] = []

    def denied() -> bool:
        flows[:] = shop.flows("--verdict", "DROPPED", "--from-pod", "shop/client")
        return bool(flows)

    wait_for(denied)
    assert flows[-1]["rule"] == "default deny by NetworkPolicy shop/web (ingress)"
    shop.apply(admit("web", "web", "client"))  # TCP retransmits: nothing is lost
    time.sleep(2)
    result = json.loads(traffic.communicate()[0])
    assert result["kept"]["failed"] == 0, result
