"""Names in, verdicts out, before any packet is sent."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from tests.unit.agent.passes import FakeLearnt, pass_of
from tests.unit.compile.objects import workload, world_of
from tulle.agent.agent import Pass
from tulle.agent.explaining import explain_request
from tulle.agent.rungs import NAMES
from tulle.compile import Ids, compile_world
from tulle.compile.capacity import DENIALS, LIMITS
from tulle.compile.explain.requests import Request
from tulle.errors import Refused
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import TO_ITSELF
from tulle.model.world import Node, Refusal

WEB = workload("web-1", "10.0.0.1", "fd00::1", app="web")
DB = workload("db-2", "10.0.0.2", "fd00::2", app="db")
DB3 = replace(workload("db-3", app="db"), weight=3)
ONLY_V6 = workload("six-6", "fd00::6", app="six")
TEXT = """
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.9, selector: {app: db}, ports: [{port: 5432, targetPort: 15432}]}
---
kind: Service
metadata: {name: six}
spec: {clusterIP: "fd00:7a11:0:96::9", selector: {app: db}, ports: [{port: 80}]}
---
kind: Service
metadata: {name: idle}
spec: {clusterIP: 10.96.0.8, selector: {app: none}, ports: [{port: 80}]}
---
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 15432}]}]
"""
LEARNT = FakeLearnt(api_example="203.0.113.7")
NOW = pass_of(world_of(WEB, DB, DB3, ONLY_V6, text=TEXT))
ALLOWING = "NetworkPolicy shop/db ingress[0]"
DENYING = "default deny by NetworkPolicy shop/db (ingress)"


def ask(
    source: str, target: str, port: int, protocol: str = "TCP", now: Pass = NOW
) -> list[dict[str, Any]]:
    found = explain_request(now, LEARNT, source, target, protocol, port)
    results: list[dict[str, Any]] = found["results"]
    return results


def in_short(results: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(item["source"], item["destination"], item["rule"]) for item in results]


def test_a_workload_is_asked_on_the_port_that_is_named() -> None:
    (result,) = ask("shop/web-1", "shop/db-2", 15432)
    assert result == {
        "source": "shop/web-1",
        "destination": "shop/db-2",
        "port": 15432,
        "protocol": "TCP",
        "frontend": None,
        "verdict": "FORWARDED",
        "reason": "ALLOWED",
        "rule": ALLOWING,
        "egress_rule": "no policy selects the workload",
        "ingress_rule": ALLOWING,
        "audit_rule": None,
        "reject": False,
        "nodes": ["local"],
        "route": ["stays on node local"],
        "rung": 1,
        "rung_reason": "addresses, protocol and port decide it",
        "share": None,
        "notes": [],
        "allows": [],
        "answer": None,
        "request_rules": [],
    }
    (denied,) = ask("shop/web-1", "shop/db-2", 5432)
    assert (denied["verdict"], denied["reason"]) == ("DROPPED", "POLICY_DENIED")
    assert (denied["rule"], denied["egress_rule"]) == (DENYING, None)


@pytest.mark.parametrize("target", ["shop/db", "10.96.0.9"])
def test_a_service_is_asked_at_each_backend_with_its_share(target: str) -> None:
    answer = explain_request(NOW, LEARNT, "shop/web-1", target, "TCP", 5432)
    assert answer["service"] == "Service shop/db"
    results = answer["results"]
    assert in_short(results) == [
        ("shop/web-1", "shop/db-2", ALLOWING),
        ("shop/web-1", "shop/db-3", ALLOWING),
    ]
    assert [item["share"] for item in results] == [0.25, 0.75]
    assert results[0]["frontend"] == {
        "kind": "ClusterIP",
        "address": "10.96.0.9:5432/TCP",
        "node": "local",
        "rung": 0,
    }
    assert {item["port"] for item in results} == {15432}


def test_a_service_as_source_stands_for_its_workloads() -> None:
    found = in_short(ask("shop/db", "shop/db-2", 15432))
    assert found == [
        ("shop/db-2", "shop/db-2", TO_ITSELF),
        ("shop/db-3", "shop/db-2", DENYING),
    ]


def test_a_service_without_endpoint_is_a_drop_at_the_socket() -> None:
    (result,) = ask("shop/web-1", "shop/idle", 80)
    assert (result["verdict"], result["reason"], result["rung"]) == ("DROPPED", "NO_BACKEND", 0)
    assert result["rule"] == "Service shop/idle has no ready endpoint"


@pytest.mark.parametrize("target", ["fd00:7a11:0:96::9", "FD00:7A11:0:96:0::9", "shop/six"])
def test_the_family_is_the_one_that_both_ends_have(target: str) -> None:
    answer = explain_request(NOW, LEARNT, "shop/web-1", target, "TCP", 80)
    assert answer["service"] == "Service shop/six"
    assert in_short(answer["results"]) == [("shop/web-1", "shop/db-2", DENYING)]


def test_a_workload_of_one_family_is_reached_from_one_of_both() -> None:
    (result,) = ask("shop/web-1", "shop/six-6", 80)
    assert result["verdict"] == "FORWARDED"


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [("shop/six-6", "shop/db", 5432), ("shop/six-6", "192.0.2.1", 80), ("192.0.2.1", "::1", 80)],
)
def test_ends_without_a_common_family_never_meet(source: str, target: str, port: int) -> None:
    with pytest.raises(Refused, match="have no IP family in common"):
        ask(source, target, port)


def test_addresses_outside_may_be_either_end() -> None:
    assert in_short(ask("192.0.2.1", "shop/db-2", 15432)) == [("192.0.2.1", "shop/db-2", DENYING)]
    (result,) = ask("shop/web-1", "192.0.2.1", 443)
    assert (result["verdict"], result["ingress_rule"]) == ("FORWARDED", None)


def test_a_service_address_on_a_port_that_it_has_not_is_dropped() -> None:
    (result,) = ask("shop/web-1", "10.96.0.9", 1)
    assert (result["verdict"], result["reason"]) == ("DROPPED", "NO_SERVICE_PORT")


def test_a_name_that_a_workload_shares_means_the_service_on_its_ports() -> None:
    same = replace(DB, name="db")
    now = pass_of(world_of(WEB, same, text=TEXT))
    assert [item["share"] for item in ask("shop/web-1", "shop/db", 5432, now=now)] == [1.0]
    (direct,) = ask("shop/web-1", "shop/db", 15432, now=now)
    assert (direct["rule"], direct["share"]) == (ALLOWING, None)


def test_a_name_without_namespace_is_in_default() -> None:
    home = workload("here-7", namespace="default")
    now = pass_of(world_of(home))
    assert in_short(ask("here-7", "default/here-7", 80, now=now))[0][0] == "default/here-7"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("shop/nobody", "shop/db-2", "shop/nobody: no such workload, service, node or IP address"),
        ("shop/web-1", "shop/nobody", "shop/nobody: no such workload, service, node or IP address"),
        ("shop/web-1", "idle", "idle: did you mean shop/idle\\?"),
        ("shop/web-1", "10.96.0.1000", "10.96.0.1000: no such workload, service, node or IP"),
        ("shop/web-1", "shop/db", "Service shop/db has no port 80/TCP; it has 5432/TCP"),
    ],
)
def test_what_means_nothing_is_refused(source: str, target: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        ask(source, target, 80)


def test_a_service_that_is_refused_says_why() -> None:
    twin = TEXT.split("---")[0].replace("name: db", "name: twin")
    now = pass_of(world_of(WEB, DB, text=f"{TEXT}---{twin}"))
    assert now.refusals == (
        Refusal(
            ObjectRef("Service", "shop", "twin"),
            "spec.clusterIP: 10.96.0.9 belongs to Service shop/db",
        ),
    )
    with pytest.raises(Refused, match=r"Service shop/twin is not in force: spec\.clusterIP"):
        ask("shop/web-1", "shop/twin", 5432, now=now)


HEADLESS = """
kind: Service
metadata: {name: names}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
"""


def test_a_headless_service_is_its_workloads() -> None:
    now = pass_of(world_of(WEB, DB, DB3, text=HEADLESS))
    found = [item["destination"] for item in ask("shop/web-1", "shop/names", 15432, now=now)]
    assert found == ["shop/db-2", "shop/db-3"]


def test_an_audited_policy_is_told() -> None:
    audited = TEXT.replace(
        "kind: NetworkPolicy\nmetadata: {name: db}",
        "kind: NetworkPolicy\nmetadata: {name: db, annotations: {tulle.io/audit: 'true'}}",
    )
    (result,) = ask("shop/web-1", "shop/db-2", 5432, now=pass_of(world_of(WEB, DB, text=audited)))
    assert (result["verdict"], result["audit_rule"]) == ("FORWARDED", DENYING)


def test_what_has_no_room_in_the_kernel_is_said() -> None:
    roomy = pass_of(world_of(WEB, DB, DB3, text=TEXT))
    compiled = compile_world(roomy.world, Ids(), limits={**LIMITS, "policy": DENIALS})
    now = replace(roomy, compiled=compiled, refusals=compiled.refusals)
    (result,) = ask("shop/web-1", "shop/db-2", 15432, now=now)
    assert (result["verdict"], result["reason"]) == ("DROPPED", "POLICY_DENIED")
    assert result["ingress_rule"].startswith("refused: ")
    (elsewhere,) = ask("shop/db-2", "shop/web-1", 80, now=now)
    assert elsewhere["verdict"] == "FORWARDED"


def test_a_policy_that_is_not_in_force_as_written_is_noted() -> None:
    refusal = Refusal(ObjectRef("NetworkPolicy", "shop", "db"), "its rules admit nobody")
    now = replace(NOW, refusals=(refusal,))
    (result,) = ask("shop/web-1", "shop/db-2", 15432, now=now)
    assert result["notes"] == ["NetworkPolicy shop/db: its rules admit nobody"]


def test_a_node_is_called_by_its_name() -> None:
    now = pass_of(replace(NOW.world, node=Node("west", (ip_address("10.0.0.254"),))))
    (result,) = ask("west", "shop/db-2", 15432, now=now)
    assert result["source"] == "node west"
    assert result["ingress_rule"] == "a node always reaches its own workloads"


NAMED = """
kind: CiliumNetworkPolicy
metadata: {name: names}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
    - toCIDR: [192.0.2.53/32]
      toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*.example"}]}}]
    - toFQDNs: [{matchPattern: "*.example"}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"""


def test_a_name_means_the_addresses_that_the_source_has_learnt() -> None:
    now = pass_of(world_of(WEB, DB, text=NAMED))
    rule = "CiliumNetworkPolicy shop/names egress[1]"
    for target, name in (("API.example", "api.example (203.0.113.7)"), ("203.0.113.7",) * 2):
        [found] = ask("shop/web-1", target, 443, now=now)
        assert (found["destination"], found["egress_rule"]) == (name, rule)
        assert (found["rung"], found["rung_reason"], found["notes"]) == (2, NAMES, [])
    [found] = ask("shop/web-1", "api.example", 80, now=now)
    assert found["verdict"] == "DROPPED"
    [found] = ask("shop/web-1", "203.0.113.8", 443, now=now)
    assert found["verdict"] == "DROPPED"
    [found] = ask("shop/web-1", "new.example", 443, now=now)
    assert found["egress_rule"] == rule
    assert found["notes"] == [
        "shop/web-1 has learnt no address of new.example: this is of one that it would learn"
    ]
    with pytest.raises(Refused, match="workloads of this node only"):
        ask("203.0.113.9", "api.example", 443, now=now)


def test_a_question_names_what_allows_it() -> None:
    now = pass_of(world_of(WEB, DB, text=NAMED))
    place = "CiliumNetworkPolicy shop/names egress[0].toPorts[0]"

    def asks(name: str) -> dict[str, Any]:
        request = Request(question=name)
        ends = "shop/web-1", "192.0.2.53", "UDP", 53
        found: dict[str, Any] = explain_request(now, LEARNT, *ends, request)["results"][0]
        return found

    assert asks("API.example.")["request_rules"] == [f"{place}.rules.dns[0]"]
    refused = asks("example")
    assert (refused["verdict"], refused["reason"]) == ("DROPPED", "DNS_REFUSED")
    assert refused["answer"] == f"REFUSED: not allowed by {place}"


def test_another_protocol_passes_where_every_name_may_be_asked_for() -> None:
    every = NAMED.replace('[{matchPattern: "*.example"}]}}]', '[{matchPattern: "*"}]}}]', 1)
    for text, reason in ((NAMED, "DNS_PROTOCOL"), (every, "ALLOWED")):
        now = pass_of(world_of(WEB, DB, text=text))
        for protocol, expected in (("SCTP", reason), ("TCP", "ALLOWED")):
            [found] = ask("shop/web-1", "192.0.2.53", 53, protocol, now=now)
            assert found["reason"] == expected
