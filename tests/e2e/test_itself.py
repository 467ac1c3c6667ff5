"""A workload that asks its own Service, whose route leads it to itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.conformance.table import Json, route
from tests.e2e.mesh import HERE, Mesh, policy, service, wait_for
from tests.e2e.test_requests import READ_ONLY

PARENT = '[{group: "", kind: Service, name: web, port: 80}]'
RULES = """
- backendRefs: [{name: web, port: 80}]
  filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: X-Route, value: taken}]}
"""
ROUTE = route("web", RULES, parents=PARENT, hostnames="")
SHUT = policy("shut", "web", policyTypes=["Ingress", "Egress"])
STATUS = ("-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code} %header{x-route}")


@pytest.fixture(scope="module")
def shop(mesh: Mesh) -> Iterator[Mesh]:
    echo = str(HERE / "conformance" / "echo.py")
    mesh.run("web-1", sys.executable, echo, "web-1", app="web")
    mesh.run("client", "sleep", "inf")
    wait_for(lambda: mesh.exec("web-1", "ss", "-Hltn", "sport = :8080") != "")
    mesh.apply(service("web", "web"), ROUTE)
    wait_for(lambda: ask(mesh, "client", 4) == "200 taken", timeout_s=20)
    yield mesh


def ask(mesh: Mesh, name: str, family: int, *options: str) -> str:
    [listed] = (item for item in mesh.get("services") if item["name"] == "web")
    address = next(item for item in listed["cluster_ips"] if (":" in item) == (family == 6))
    host = f"[{address}]" if family == 6 else address
    line = ("curl", *STATUS, *options, f"http://{host}/")
    return mesh.tulle("exec", "-n", "shop", name, "--", *line, check=False)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("applied", "client"),
    [(None, "200 taken"), (SHUT, "000 "), (READ_ONLY, "403 taken")],
    ids=["open", "isolated", "L7"],
)
def test_policies_are_for_others(
    shop: Mesh, family: int, applied: Json | None, client: str
) -> None:
    """Of POST, which an L7 rule admits from nobody."""
    if applied is not None:
        shop.apply(applied)
    try:
        post = ("-X", "POST")
        wait_for(lambda: ask(shop, "client", family, *post) == client, timeout_s=20)
        for options in ((), post, post):
            assert ask(shop, "web-1", family, *options) == "200 taken"
    finally:
        if applied is not None:
            shop.delete(applied)


def test_flows_and_explain_name_the_rule(shop: Mesh) -> None:
    shop.apply(SHUT)
    try:
        line = (
            "explain",
            "shop/web-1",
            "shop/web",
            "--port",
            "80",
            "--http",
            "POST /",
            "-o",
            "json",
        )
        [told] = json.loads(shop.tulle(*line))["results"]
        assert (told["verdict"], told["rule"]) == ("FORWARDED", "a workload always reaches itself")
        assert ask(shop, "web-1", 4) == "200 taken"
        # the proxy may keep to the connection that it opened in an earlier test
        flows = shop.flows("--last", "1000", "--from-pod", "shop/web-1", "--protocol", "tcp")
        assert "a workload always reaches itself" in {item.get("rule") for item in flows}
    finally:
        shop.delete(SHUT)
