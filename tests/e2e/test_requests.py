"""Requests as users see them: in flows, in explanations, in lists, and under policies."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.e2e.conformance.gateways import gateway
from tests.e2e.conformance.table import Json, objects_of, route
from tests.e2e.conftest import Clusters
from tests.e2e.field import listed_addresses, pool
from tests.e2e.mesh import HERE, Mesh, service, spawn, wait_for
from tulle.agent.telling import LEAST

# Requests on one connection: as many as told, as quickly as it goes.
MANY = """
import http.client, sys
connection = http.client.HTTPConnection("web")
for _ in range(int(sys.argv[2])):
    connection.request("GET", sys.argv[1], headers={"x-tier": "gold"})
    connection.getresponse().read()
"""
STORM = ("wrk", "-t1", "-c8", "-d1s", "-H", "x-tier: gold", "http://web/cart/many")
PARENT = '[{group: "", kind: Service, name: web, port: 80}]'
RULES = """
- name: cart
  matches: [{path: {value: /cart}, headers: [{name: x-tier, value: gold}]}]
  timeouts: {request: 2s}
  backendRefs: [{name: web, port: 80}]
- matches: [{path: {value: /broken}}]
  backendRefs: [{name: nobody, port: 80}]
"""
ROUTE = route("web", RULES, parents=PARENT, hostnames="")
READ_ONLY = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "read-only", "namespace": "shop"},
    "spec": {
        "endpointSelector": {"matchLabels": {"app": "web"}},
        "ingress": [
            {
                "toPorts": [
                    {
                        "ports": [{"port": "8080", "protocol": "TCP"}],
                        "rules": {"http": [{"method": "GET"}]},
                    }
                ]
            }
        ],
    },
}


@pytest.fixture(scope="module")
def shop(mesh: Mesh) -> Iterator[Mesh]:
    echo = str(HERE / "conformance" / "echo.py")
    mesh.run("web-1", sys.executable, echo, "web-1", app="web")
    mesh.run("client", "sleep", "inf")
    wait_for(lambda: mesh.exec("web-1", "ss", "-Hltn", "sport = :8080") != "")
    mesh.apply(service("web", "web"), ROUTE)
    yield mesh


def curl(mesh: Mesh, path: str, *options: str) -> str:
    """Status of the answer, and how many seconds it took."""
    line = (
        "curl",
        "-s",
        "-m",
        "4",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{time_total}",
        *options,
    )
    return mesh.exec("client", *line, f"http://web{path}")


def flow_of(mesh: Mesh, *filters: str) -> Json:
    found: list[Json] = []

    def is_there() -> bool:
        found[:] = mesh.flows("--protocol", "http", *filters)
        return bool(found)

    wait_for(is_there)
    return found[-1]


def explained(mesh: Mesh, http: str, *options: str) -> Json:
    words = ("explain", "shop/client", "shop/web", "--port", "80", "--http", http, *options)
    return json.loads(mesh.tulle(*words, "-o", "json", check=False))


def test_a_request_is_told_with_its_rule_and_explained_by_the_same(shop: Mesh) -> None:
    assert curl(shop, "/cart/1?x=2", "-H", "x-tier: gold").startswith("200 ")
    flow = flow_of(shop, "--http-path", "^/cart/1$", "--http-status", "2+", "--http-method", "get")
    assert flow["rule"] == "HTTPRoute shop/web rules[cart]"
    assert flow["l7"]["http"]["url"] == "http://web/cart/1?x=2"
    assert (flow["source"]["pod_name"], flow["destination"]["pod_name"]) == ("client", "web-1")
    assert (flow["backend"], flow["verdict"]) == ("shop/web-1:8080", "FORWARDED")
    told = explained(shop, "GET /cart/1?x=2", "--header", "X-Tier=gold")
    assert told["request"]["rule"] == flow["rule"]
    assert told["request"]["filters"] == ["timeout 2000 ms"]
    assert [item["destination"] for item in told["results"]] == ["shop/web-1"]
    rows = {item["rule"]: item for item in shop.get("rungs")}
    assert rows[flow["rule"]]["why"] == told["request"]["why"]
    assert "timeouts" in told["request"]["why"]


def test_of_many_requests_a_part_is_told_and_all_that_failed(shop: Mesh) -> None:
    def told_one_in() -> int:
        return int(shop.status()["proxy"]["scopes"]["node"]["requests_told_one_in"])

    for _ in range(20):  # rounds of a second
        shop.exec("client", *STORM)
        if told_one_in() > 1:
            break
    assert 1 < told_one_in() < LEAST  # which falls as long as nothing comes of it
    paths = [f"/lost/{number}" for number in range(30)]
    answers = shop.exec(
        "client", "curl", "-s", "-w", "%{http_code} ", *(f"http://web{path}" for path in paths)
    )
    assert answers.count("404") >= len(paths)
    wait_for(lambda: len(shop.flows("--last", "99", "--http-path", "^/lost/")) == len(paths))


def test_who_follows_flows_is_told_of_all_requests(shop: Mesh) -> None:
    follower = spawn(
        *("--node", shop.name, "observe", "-f", "--last", "1", "-o", "json"),
        *("--http-path", "^/cart/(many|one)$", "--http-status", "200"),
    )
    lines: queue.Queue[str] = queue.Queue()
    assert follower.stdout
    threading.Thread(
        target=lambda: [lines.put(line) for line in follower.stdout], daemon=True
    ).start()
    try:

        def is_followed() -> bool:
            """One may be told by chance; so many in a row are only if all are."""
            shop.exec("client", sys.executable, "-c", MANY, "/cart/one", "20")
            told = 0
            with suppress(queue.Empty):
                while told < 20:
                    told += "/cart/one" in lines.get(timeout=0.5)
            return told == 20

        wait_for(is_followed)
        shop.exec("client", sys.executable, "-c", MANY, "/cart/many", "2000")
        told = 0
        while told < 2000:
            told += "/cart/many" in lines.get(timeout=5)
    finally:
        follower.kill()
        follower.communicate()


@pytest.mark.parametrize(
    ("path", "status", "rule"), [("/other", "404", ""), ("/broken", "500", "rules[1]")]
)
def test_what_no_backend_answers_is_told_so(shop: Mesh, path: str, status: str, rule: str) -> None:
    assert curl(shop, path).startswith(f"{status} ")
    flow = flow_of(shop, "--http-path", path, "--http-status", status)
    assert flow["verdict"] == "ERROR" and rule in flow["rule"]
    assert explained(shop, f"GET {path}")["request"]["answer"].startswith(f"{status}: ")


def test_routes_and_proxies_are_listed(shop: Mesh) -> None:
    [listed] = shop.get("routes")
    [parent] = listed["parents"]
    assert (parent["parent"], parent["accepted"]) == ("Service shop/web:80", True)
    assert parent["reasons"] == ["BackendNotFound: there is no Service shop/nobody"]
    wait_for(lambda: [item["state"] for item in shop.get("proxies")] == ["serving", "standing by"])
    for proxy in shop.get("proxies"):
        assert (proxy["fronts"], proxy["refused"]) == (1, {})
        assert proxy["memory_bytes"] > 1 << 20
    refused = {item["object"]: item["reason"] for item in shop.status()["refused"]}
    assert "there is no Service shop/nobody" in refused["HTTPRoute shop/web"]


def test_a_policy_reads_what_a_route_leads_there(shop: Mesh) -> None:
    """Connections that the proxy has kept from before end at once, instead of hanging."""
    gold = ("-H", "x-tier: gold")
    assert curl(shop, "/cart", *gold).startswith("200 ")
    shop.apply(READ_ONLY)
    try:
        for method, status in (("GET", "200"), ("POST", "403")) * 4:
            answer = quick(curl(shop, "/cart", *gold, "-X", method))
            assert answer.startswith(f"{status} ")
        flow = flow_of(shop, "--http-method", "POST", "--verdict", "DROPPED")
        assert "CiliumNetworkPolicy shop/read-only ingress[0]" in flow["rule"]
    finally:
        shop.delete(READ_ONLY)


def quick(answer: str) -> str:
    assert float(answer.split()[1]) < 1.0, answer
    return answer


def test_a_policy_reads_what_a_gateway_leads_to_its_own_node(clusters: Clusters) -> None:
    """The proxy speaks to itself there, in its own name."""
    with clusters("read", ("a",)) as cluster:
        node = cluster["a"]
        node.run("web-1", sys.executable, str(HERE / "conformance" / "echo.py"), "web-1", app="web")
        wait_for(lambda: node.exec("web-1", "ss", "-Hltn", "sport = :8080") != "")
        rules = "- backendRefs: [{name: web, port: 80}]"
        door = objects_of(gateway("door", "{name: http, port: 80, protocol: HTTP}", "192.0.2.10"))
        cluster.apply(pool(), service("web", "web"), *door, route("web", rules, hostnames=""))
        cluster.apply(READ_ONLY)
        via = listed_addresses(node.name)[4]
        cluster.outside("ip", "route", "replace", "192.0.2.0/24", "via", via)
        line = (
            "curl",
            "-s",
            "-m",
            "3",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "http://192.0.2.10/",
        )
        wait_for(lambda: cluster.outside(*line, check=False) == "200")
        assert cluster.outside(*line, "-X", "POST") == "403"
