"""Tables of what the agent has."""

import json

import pytest
import yaml

from .conftest import Cli, FakeAgent

ITEMS = {
    "services": {
        "namespace": "shop",
        "name": "web",
        "type": "NodePort",
        "cluster_ips": ["10.96.0.10", "fd00::a"],
        "external_ips": [],
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "node_port": 30080},
            {"name": "dns", "port": 53, "protocol": "UDP", "node_port": 0},
        ],
        "backends": [
            {
                "address": "fd00::2",
                "port": 8080,
                "workload": "shop/web-1",
                "share": 0.25,
                "service_port": 80,
            },
            {
                "address": "192.0.2.1",
                "port": 8080,
                "workload": "",
                "share": 0.75,
                "service_port": 80,
            },
        ],
        "affinity_s": 0,
    },
    "endpoints": {
        "namespace": "shop",
        "name": "web-1",
        "addresses": ["10.244.0.2"],
        "identity": 257,
        "labels": {"app": "web"},
        "ifindex": 7,
        "ready": True,
        "weight": 1,
        "ingress_policies": ["NetworkPolicy shop/web"],
        "egress_policies": [],
    },
    "identities": {"id": 257, "labels": ["k8s:app=web"], "endpoints": 1},
    "policies": {
        "kind": "NetworkPolicy",
        "namespace": "shop",
        "name": "web",
        "selects": ["shop/web-1"],
        "types": ["ingress"],
        "audit": False,
        "rules": [
            {
                "id": 300,
                "rule": "NetworkPolicy shop/web ingress[0]",
                "denies": False,
                "packets": 7,
                "bytes": 420,
            },
            {
                "id": 301,
                "rule": "default deny by NetworkPolicy shop/web (ingress)",
                "denies": True,
                "packets": 3,
                "bytes": 180,
            },
        ],
    },
    "pods": {
        "namespace": "shop",
        "name": "db",
        "phase": "Pending",
        "ready": False,
        "restarts": 4,
        "addresses": [],
        "node": "b",
        "reason": "exit code 1",
    },
    "nodes": {
        "name": "b",
        "this": False,
        "addresses": ["192.0.2.2", "10.244.1.1"],
        "underlay": "192.0.2.2",
        "pod_cidrs": ["10.244.1.0/24"],
        "workloads": 3,
        "labels": {"zone": "z"},
        "created": "",
    },
}

ITEMS["questions"] = {
    **{"namespace": "shop", "name": "web-1", "asked": 9, "answered": 7, "denied": 2},
    "not_told": 1,
}
ITEMS["routes"] = {
    "kind": "HTTPRoute",
    "namespace": "shop",
    "name": "web",
    "hostnames": [],
    "parents": [
        {
            "parent": "Gateway shop/door",
            "accepted": True,
            "resolvedrefs": False,
            "reasons": ["BackendNotFound"],
        }
    ],
    "backends": ["shop/web:80"],
}
ITEMS["gateways"] = {
    "kind": "Gateway",
    "namespace": "shop",
    "name": "door",
    "class": "tulle",
    "parent": "",
    "addresses": ["192.0.2.10"],
    "accepted": True,
    "programmed": True,
    "reasons": [],
    "listeners": [
        {
            "name": "web",
            "port": 80,
            "protocol": "HTTP",
            "hostname": "",
            "attached_routes": 2,
            "programmed": True,
            "reasons": [],
        }
    ],
}

ITEMS["traffic"] = {
    "kind": "RateLimitPolicy",
    "namespace": "shop",
    "name": "web",
    "targets": ["HTTPRoute shop/web:cart", "Service shop/web"],
    "ancestors": [{"ancestor": "Gateway shop/door", "accepted": False, "reasons": ["Conflicted"]}],
}

ITEMS["proxies"] = {
    "node": "a",
    "scope": "namespace/shop",
    "generation": 2,
    "pid": 4711,
    "state": "serving",
    "memory_bytes": 67 << 20,
    "memory_limit_bytes": 256 << 20,
    "fronts": 3,
    "resources": {"cluster": 4, "listener": 3},
    "requests_told_one_in": 64,
    "refused": {"listener x": "no such address"},
}


@pytest.fixture
def cluster(agent: FakeAgent) -> FakeAgent:
    agent.answers = {
        f"GET /v1/objects/{kind}": (200, {"items": [item]}) for kind, item in ITEMS.items()
    }
    return agent


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split("   ") if cell.strip()] for line in text.splitlines()
    ]


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["question"], ["shop", "web-1", "9", "7", "2", "1"]),
        (
            ["services"],
            [
                "shop",
                "web",
                "NodePort",
                "10.96.0.10,fd00::a",
                "-",
                "80:30080/TCP,53/UDP",
                "-",
                "2",
            ],
        ),
        (["endpoints"], ["shop", "web-1", "yes", "10.244.0.2", "257", "1 policy", "open"]),
        (["identities"], ["257", "1", "k8s:app=web"]),
        (
            ["policies"],
            ["shop", "web", "NetworkPolicy", "ingress", "-", "shop/web-1", "7", "3"],
        ),
        (["pods"], ["shop", "db", "no", "Pending", "4", "-", "b", "exit code 1"]),
        (
            ["routes"],
            ["shop", "web", "HTTPRoute", "*", "Gateway shop/door", "yes", "no", "shop/web:80"],
        ),
        (
            ["gtw"],
            ["shop", "door", "Gateway", "tulle", "192.0.2.10", "yes", "1", "2"],
        ),
        (
            ["gateways", "-o", "wide"],
            ["shop", "door", "web", "80/HTTP", "*", "2", "yes", "-"],
        ),
        (
            ["traffic", "-o", "wide"],
            [
                *("shop", "web", "RateLimitPolicy", "HTTPRoute shop/web:cart,Service shop/web"),
                *("Gateway shop/door", "no", "Conflicted"),
            ],
        ),
        (
            ["proxies"],
            [
                *("a", "namespace/shop", "2", "4711", "serving", "67.0 MiB", "256.0 MiB"),
                *("3", "cluster=4,listener=3", "1 of 64", "1"),
            ],
        ),
        (
            ["proxy", "-o", "wide"],
            [
                *("a", "namespace/shop", "2", "4711", "serving", "67.0 MiB", "256.0 MiB"),
                *("3", "cluster=4,listener=3", "1 of 64", "listener x: no such address"),
            ],
        ),
        (["nodes"], ["b", "192.0.2.2", "10.244.1.0/24", "3", "-"]),
        (
            ["no", "-o", "wide"],
            ["b", "192.0.2.2,10.244.1.1", "10.244.1.0/24", "3", "-", "zone=z"],
        ),
        (
            ["policies", "-o", "wide"],
            ["shop", "web", "default deny by NetworkPolicy shop/web (ingress)", "3", "180 B"],
        ),
    ],
)
def test_tables(cluster: FakeAgent, cli: Cli, words: list[str], last: list[str]) -> None:
    table = rows(cli("get", *words).stdout)
    assert len(table[0]) == len(table[-1])
    assert table[-1] == last


def test_wide(cluster: FakeAgent, cli: Cli) -> None:
    assert rows(cli("get", "services", "-o", "wide").stdout)[1:] == [
        ["shop", "web", "80", "[fd00::2]:8080", "shop/web-1", "25%"],
        ["shop", "web", "80", "192.0.2.1:8080", "-", "75%"],
    ]
    assert rows(cli("get", "ep", "-o", "wide").stdout)[1][5:] == [
        "NetworkPolicy shop/web",
        "open",
        "app=web",
        "1",
        "7",
    ]


def test_a_service_without_backends(agent: FakeAgent, cli: Cli) -> None:
    bare = {**ITEMS["services"], "backends": []}
    agent.answers = {"GET /v1/objects/services": (200, {"items": [bare]})}
    assert rows(cli("get", "svc").stdout)[1][-1] == "0"
    wide = rows(cli("get", "svc", "-o", "wide").stdout)
    assert wide[1] == ["shop", "web", "-", "none", "-", "-"]


def test_values(cluster: FakeAgent, cli: Cli) -> None:
    for kind, item in ITEMS.items():
        assert json.loads(cli("get", kind, "-o", "json").stdout) == {"items": [item]}
        assert yaml.safe_load(cli("get", kind, "-o", "yaml").stdout) == {"items": [item]}


def test_routes_show_the_whole_object_in_yaml(agent: FakeAgent, cli: Cli) -> None:
    item = {**ITEMS["routes"], "manifest": {"kind": "HTTPRoute", "status": {"parents": []}}}
    agent.answers = {"GET /v1/objects/routes": (200, {"items": [item]})}
    assert yaml.safe_load(cli("get", "routes", "-o", "yaml").stdout) == {
        "items": [item["manifest"]]
    }
    assert "BackendNotFound" in cli("get", "routes", "-o", "wide").stdout


def test_kubectl_s_names_and_namespace(cluster: FakeAgent, cli: Cli) -> None:
    for alias in ("svc", "service", "netpol", "po", "ep"):
        assert "shop" in cli("get", alias, "-n", "shop").stdout
    nothing = cli("get", "svc", "-n", "other")
    assert (nothing.stdout, nothing.stderr) == ("", "no services in namespace other\n")
    assert "257" in cli("get", "identities", "-n", "shop").stdout  # they have none
