"""Requests are explained by the rules that they meet, and then by policy."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from tests.unit.agent.passes import FakeLearnt, pass_of
from tests.unit.compile.explain.town import policy
from tests.unit.compile.objects import workload, world_of
from tulle.agent.asking import explain_asked
from tulle.agent.routed_rungs import PASSES
from tulle.compile.explain.requests import Request
from tulle.errors import Refused
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Destination,
    Filters,
    Front,
    Redirect,
    RequestMatch,
    Routing,
    Rule,
    Server,
    Stream,
    VirtualHost,
)
from tulle.model.world import Node

CLIENT = workload("client-1", "10.0.0.1", app="client")
OLD = workload("old-2", "10.0.0.2", app="old")
NEW = workload("new-3", "10.0.0.3", app="new")
TEXT = """
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.9, selector: {app: old}, ports: [{port: 80, targetPort: 8080}]}
---
kind: Service
metadata: {name: new}
spec: {clusterIP: 10.96.0.8, selector: {app: new}, ports: [{port: 80, targetPort: 8080}]}
---
kind: NetworkPolicy
metadata: {name: new}
spec:
  podSelector: {matchLabels: {app: new}}
  ingress: [{from: [{podSelector: {matchLabels: {app: nobody}}}]}]
"""
ROUTE, WEB = ObjectRef("HTTPRoute", "shop", "web"), ("shop", "web")
CANARY = Rule(
    ROUTE, 0, destinations=(Destination(WEB, 80, 95), Destination(("shop", "new"), 80, 5))
)
AWAY = Rule(ROUTE, 1, "away", Filters(redirect=Redirect(scheme="https", status=301)))
BROKEN = Rule(
    ROUTE, 2, destinations=(Destination(WEB, 81, broken="Service shop/web has no port 81"),)
)
HOST = VirtualHost(
    "*",
    (
        (RequestMatch("/away"), AWAY),
        (RequestMatch("/broken"), BROKEN),
        (RequestMatch("/shop"), CANARY),
    ),
)
FRONT = Front(
    "service/shop/web/80",
    ObjectRef("Service", "shop", "web"),
    WEB,
    (ip_address("10.96.0.9"),),
    80,
    mesh=True,
    servers=(Server("80", hosts=(HOST,)),),
)
GATEWAY = replace(
    FRONT,
    name="gateway/shop/door/80",
    origin=ObjectRef("Gateway", "shop", "door"),
    service=("shop", "tulle-gateway-door"),
    addresses=(ip_address("192.0.2.10"),),
    mesh=False,
)
PASSED = replace(
    GATEWAY,
    name="gateway/shop/door/443",
    port=443,
    servers=(Server("tls", protocol="TLS", streams=(Stream((Destination(WEB, 80),), ROUTE),)),),
)
WEST = Node("west", (ip_address("10.9.0.1"),), ingress=(ip_address("10.9.0.2"),))
LEARNT = FakeLearnt()
NOW = replace(
    pass_of(replace(world_of(CLIENT, OLD, NEW, text=TEXT), node=WEST)),
    routing=Routing({item.name: item for item in (FRONT, GATEWAY, PASSED)}),
)


def ask(
    target: str, path: str | None = "/shop", source: str = "shop/client-1", port: int = 80
) -> Any:
    request = Request(path=path, host="web") if path else None
    return explain_asked(NOW, LEARNT, source, target, "TCP", port, request)


def test_a_rule_shares_requests_among_its_backends_and_policy_judges_them() -> None:
    answer = ask("shop/web")
    request = answer["request"]
    assert (request["rung"], request["rule"]) == (3, "HTTPRoute shop/web rules[0]")
    assert request["match"] == "path prefix /shop"
    assert [item["share"] for item in request["destinations"]] == [0.95, 0.05]
    assert "answer" not in request
    told = [(item["destination"], item["share"], item["verdict"]) for item in answer["results"]]
    assert told == [("shop/old-2", 0.95, "FORWARDED"), ("shop/new-3", 0.05, "DROPPED")]
    assert {item["source"] for item in answer["results"]} == {"shop/client-1"}
    assert answer["results"][1]["rule"] == "default deny by NetworkPolicy shop/new (ingress)"


@pytest.mark.parametrize("target", ["192.0.2.10", "shop/door", "shop/tulle-gateway-door"])
def test_a_gateway_is_asked_from_outside(target: str) -> None:
    """Its backends see the proxy in its own name, which policies know as `ingress`."""
    answer = ask(target, source="203.0.113.1")
    assert answer["request"]["front"] == "gateway/shop/door/80"
    assert answer["request"]["scope"] == "node"
    assert answer["results"][0]["source"] == "ingress of node west"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/away?x=1", "301: https://web/away?x=1"),
        ("/broken", "500: Service shop/web has no port 81"),
        ("/other", "404: no rule matches"),
    ],
)
def test_what_the_proxy_answers_itself(path: str, answer: str) -> None:
    found = ask("shop/web", path)
    assert (found["request"]["answer"], found["results"]) == (answer, [])


def test_a_connection_is_passed_on_whole() -> None:
    answer = ask("shop/door", None, port=443)
    assert answer["request"]["why"] == f"{PASSES}: clients from outside"
    assert [item["destination"] for item in answer["results"]] == ["shop/old-2"]


def test_where_requests_are_read_one_has_to_be_named() -> None:
    with pytest.raises(Refused, match="shop/web:80 is served by routes: say which request"):
        ask("shop/web", None)


def test_a_consumers_routes_are_met_by_its_workloads_alone() -> None:
    theirs = Server("shop", hosts=(HOST,), clients=CLIENT.addresses)
    others = Server("everybody", protocol="TCP", streams=(Stream((Destination(WEB, 80),)),))
    front = replace(FRONT, servers=(theirs, others))
    now = replace(NOW, routing=Routing({front.name: front}))

    def rule(source: str, request: Request | None) -> Any:
        return explain_asked(now, LEARNT, source, "shop/web", "TCP", 80, request)["request"]["rule"]

    asked = Request(path="/shop", host="web")
    assert rule("shop/client-1", asked) == rule("10.0.0.1", asked) == "HTTPRoute shop/web rules[0]"
    assert rule("shop/new-3", asked) is rule("shop/new-3", None) is None


def test_where_no_route_stands_the_kernel_decides() -> None:
    answer = ask("shop/new")
    assert answer["request"]["rung"] == 1
    assert [item["rung"] for item in answer["results"]] == [1]
    assert ask("shop/new", None)["request"] is None


READING = replace(
    NOW,
    world=replace(
        NOW.world,
        cilium_policies={
            ("shop", "p"): policy(
                "shop/p",
                "{endpointSelector: {matchLabels: {app: old}}, ingress: [{toPorts: [{ports: "
                "[{port: '8080', protocol: TCP}], rules: {http: [{path: /shop}]}}]}]}",
                "CiliumNetworkPolicy",
            )
        },
    ),
)


def test_rules_of_policies_read_what_the_proxy_sends_on() -> None:
    def verdicts(path: str) -> list[tuple[str, str | None]]:
        request = Request(path=path, host="web")
        found = explain_asked(READING, LEARNT, "shop/client-1", "shop/web", "TCP", 80, request)
        return [(item["destination"], item["answer"]) for item in found["results"]]

    assert verdicts("/shop") == [("shop/old-2", None), ("shop/new-3", None)]
    assert verdicts("/shop/a")[0][1] == (
        "403: denied by policy: not allowed by CiliumNetworkPolicy shop/p ingress[0].toPorts[0]"
    )


def test_rules_of_policies_read_requests_where_no_route_stands() -> None:
    request = Request(path="/a", host="old")
    found = explain_asked(READING, LEARNT, "shop/client-1", "shop/old-2", "TCP", 8080, request)
    assert found["request"] is None
    assert [(item["rung"], item["verdict"]) for item in found["results"]] == [(3, "DROPPED")]


def test_policies_know_a_gateways_clients_as_ingress() -> None:
    text = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: old}
spec:
  endpointSelector: {matchLabels: {app: old}}
  ingress: [{fromEntities: [ingress]}]
"""
    world = replace(world_of(CLIENT, OLD, NEW, text=f"{TEXT}---{text}"), node=WEST)
    now = replace(pass_of(world), routing=NOW.routing)
    request = Request(path="/shop", host="web")
    told = explain_asked(now, LEARNT, "203.0.113.1", "shop/door", "TCP", 80, request)["results"]
    assert told[0]["rule"] == "CiliumNetworkPolicy shop/old ingress[0]"
    assert told[0]["verdict"] == "FORWARDED"
    told = explain_asked(now, LEARNT, "shop/client-1", "shop/web", "TCP", 80, request)["results"]
    assert told[0]["verdict"] == "DROPPED"
