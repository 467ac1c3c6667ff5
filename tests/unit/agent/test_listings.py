"""What `tulle get` is told of services, workloads, identities and policies."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tests.unit.compile.objects import workload, world_of
from tulle.abi import Counter
from tulle.agent import listings
from tulle.model.world import Node

WEB = workload("web-1", app="web")
DB = workload("db-2", app="db")
HEAVY = workload("db-3", app="db", weight=3)
TEXT = """
kind: Service
metadata: {name: db}
spec:
  clusterIP: 10.96.0.9
  selector: {app: db}
  sessionAffinity: ClientIP
  ports: [{name: pg, port: 5432}]
---
kind: Service
metadata: {name: idle}
spec: {clusterIP: 10.96.0.8, selector: {app: none}, ports: [{port: 80}]}
---
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
NOW = pass_of(world_of(WEB, DB, HEAVY, text=TEXT))


@pytest.fixture
def agent() -> Any:
    """As much of an agent as the lists look at, with a kernel that counted nothing."""
    return SimpleNamespace(datapath=SimpleNamespace(rule_counters=dict))


def test_services_show_the_share_of_each_backend(agent: Any) -> None:
    db, idle = listings.services(agent, NOW)
    assert db["cluster_ips"] == ["10.96.0.9"]
    assert db["ports"] == [{"name": "pg", "port": 5432, "protocol": "TCP", "node_port": None}]
    assert (db["type"], db["external_ips"]) == ("ClusterIP", [])
    assert db["affinity_s"] == 10800
    assert [(item["workload"], item["share"]) for item in db["backends"]] == [
        ("shop/db-2", 0.25),
        ("shop/db-3", 0.75),
    ]
    assert (idle["backends"], idle["affinity_s"]) == ([], 0)


def test_endpoints_show_their_identity_and_what_isolates_them(agent: Any) -> None:
    rows = {item["name"]: item for item in listings.endpoints(agent, NOW)}
    assert rows["db-2"]["ingress_policies"] == ["NetworkPolicy shop/db"]
    assert rows["db-2"]["egress_policies"] == rows["web-1"]["ingress_policies"] == []
    assert rows["db-2"]["identity"] == rows["db-3"]["identity"] != rows["web-1"]["identity"]


def test_identities_show_how_many_share_them(agent: Any) -> None:
    rows = {tuple(item["labels"]): item["endpoints"] for item in listings.identities(agent, NOW)}
    assert rows["k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop"] == 2
    assert rows["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"] == 1
    assert rows["reserved:world",] == 0


def test_policies_show_their_rules_in_order_with_what_they_counted(agent: Any) -> None:
    (first,) = (n for n, rule in NOW.compiled.rules.items() if rule.index == 0)
    agent.datapath.rule_counters = lambda: {first: Counter(7, 700)}
    (row,) = listings.policies(agent, NOW)
    assert (row["selects"], row["types"]) == (["shop/db-2", "shop/db-3"], ["ingress"])
    assert [(item["rule"], item["packets"], item["bytes"]) for item in row["rules"]] == [
        ("NetworkPolicy shop/db ingress[0]", 7, 700),
        ("default deny by NetworkPolicy shop/db (ingress)", 0, 0),
    ]


REMOTE = workload("web-9", "10.0.9.9", app="web")


def test_other_nodes_workloads_count_among_identities(agent: Any) -> None:
    world = world_of(WEB, text=TEXT)
    away = replace(REMOTE, node="b", ifindex=0)
    now = pass_of(
        replace(
            world,
            nodes={"b": Node("b", pod_cidrs=(ip_network("10.0.9.0/24"),))},
            remote={"b": {away.key: away}},
        )
    )
    rows = {tuple(item["labels"]): item["endpoints"] for item in listings.identities(agent, now)}
    assert rows["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"] == 2


def test_policies_of_every_kind_and_the_node_itself_are_listed(agent: Any) -> None:
    text = """
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec: {nodeSelector: {}, ingressDeny: [{fromEntities: [world]}], ingress: [{}]}
"""
    now = pass_of(world_of(WEB, text=text))
    (row,) = listings.policies(agent, now)
    assert (row["kind"], row["namespace"], row["name"]) == (
        "CiliumClusterwideNetworkPolicy",
        "",
        "host",
    )
    assert row["selects"] == [f"node {now.world.node.name}"]
    assert "ingressDeny[0]" in {item["rule"].rpartition(" ")[2] for item in row["rules"]}
