"""NetworkPolicy, as a user writes it, on real connections; `explain` and `observe` say the same.

A row is `+ FROM > TO PORT`, or `-` if it must not connect, with `/udp` and `v6`. `$NAME` in a
policy is that workload's IPv4 address, `$NAME6` its IPv6 one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from string import Template
from typing import Any

import pytest
import yaml

from tests.e2e.mesh import HERE, Json, Mesh, wait_for

PROBE = (sys.executable, str(HERE / "probe.py"))
ATTEMPTS = 5  # at what should connect: the machine may be busy
WORKLOADS = {  # labels, then ports
    "shop/web": (("app=web", "tier=front"), ("http=8080",)),
    "shop/api": (("app=api", "tier=back"), ("http=8081", "names=5353/udp")),
    "shop/db": (("app=db", "tier=back"), ()),
    "bank/teller": (("app=teller", "tier=front"), ()),
    "bank/vault": (("app=vault",), ()),
}
FULL = {name.partition("/")[2]: name for name in WORKLOADS}


def of_kind(kind: str, version: str, namespace: str, name: str, **rest: Any) -> Json:
    meta = {"name": name, "labels": rest.pop("labels", {})}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


def labels(**wanted: str) -> Json:
    return {"matchLabels": wanted}


def where(key: str, operator: str, *values: str) -> Json:
    expression = {"key": key, "operator": operator} | ({"values": list(values)} if values else {})
    return {"matchExpressions": [expression]}


def pods(**wanted: str) -> Json:
    return {"podSelector": labels(**wanted)}


def namespaces(**wanted: str) -> Json:
    return {"namespaceSelector": labels(**wanted)}


def block(cidr: str, *holes: str) -> Json:
    return {"ipBlock": {"cidr": cidr} | ({"except": list(holes)} if holes else {})}


def admit(*peers: Json, ports: list[Json] | None = None) -> Json:
    """An ingress rule."""
    return ({"from": list(peers)} if peers else {}) | ({"ports": ports} if ports else {})


def call(*peers: Json, ports: list[Json] | None = None) -> Json:
    """An egress rule."""
    return ({"to": list(peers)} if peers else {}) | ({"ports": ports} if ports else {})


ANY_POD: Json = {"podSelector": {}}
ANY_NAMESPACE: Json = {"namespaceSelector": {}}
Policy = tuple[str, Json, Json]  # namespace, podSelector, the rest of the spec

WORLDS: dict[str, tuple[list[Policy], str]] = {
    "no policy": (
        [],
        """
        + web > vault 8080
        + teller > db 8084/udp
        + vault > api 8080 v6
        """,
    ),
    "pods and namespaces": (
        [
            ("shop", labels(app="db"), {"ingress": [admit(pods(tier="front"))]}),
            ("shop", labels(app="api"), {"ingress": [admit(namespaces(team="blue"))]}),
            # one peer: both must hold
            (
                "bank",
                labels(app="vault"),
                {"ingress": [admit(namespaces(team="red") | pods(app="web"))]},
            ),
            # two peers: either will do
            (
                "bank",
                labels(app="teller"),
                {"ingress": [admit(namespaces(team="red"), pods(app="vault"))]},
            ),
        ],
        """
        + web > db 8080
        + web > db 8080 v6
        + web > db 8081/udp
        - api > db 8080
        - teller > db 8080
        - teller > db 8080 v6
        - teller > db 8080/udp
        + teller > api 8080
        + vault > api 8080 v6
        - web > api 8080
        - db > api 8080/udp v6
        + web > vault 8080
        - api > vault 8080
        - teller > vault 8080
        + api > teller 8080
        + db > teller 8080 v6
        + vault > teller 8080
        + db > web 8080
        """,
    ),
    "expressions, and policies that add up": (
        [
            (
                "shop",
                where("app", "In", "db", "none"),
                {"ingress": [admit({"podSelector": where("tier", "NotIn", "front")})]},
            ),
            ("shop", labels(app="api"), {"ingress": [admit(pods(app="web"))]}),
            (
                "shop",
                labels(tier="back"),
                {"ingress": [admit(namespaces(team="blue"), ports=[{"port": 8081}])]},
            ),
            (
                "bank",
                where("tier", "DoesNotExist"),
                {"ingress": [admit({"podSelector": where("tier", "Exists")})]},
            ),
        ],
        """
        + api > db 8080
        - web > db 8080
        - web > db 8081
        + teller > db 8081
        - teller > db 8080
        + web > api 8080
        - db > api 8080
        + vault > api 8081
        - vault > api 8081/udp
        + teller > vault 8080
        - web > vault 8080
        """,
    ),
    "ports": (
        [
            (
                "shop",
                {},
                {
                    "ingress": [
                        admit(ports=[{"port": "http"}, {"port": "names", "protocol": "UDP"}])
                    ]
                },
            ),
            (
                "bank",
                labels(app="vault"),
                {"ingress": [admit(ports=[{"port": 8081, "endPort": 8083}])]},
            ),
            (
                "bank",
                labels(app="teller"),
                {"ingress": [admit(ports=[{"protocol": "UDP"}, {"port": 8082}])]},
            ),
        ],
        """
        + teller > web 8080
        - teller > web 8081
        - teller > web 8080/udp
        + teller > api 8081
        + teller > api 8081 v6
        - teller > api 8080
        + vault > api 5353/udp
        - vault > api 5353
        - vault > web 5353/udp
        - web > db 8080
        - web > vault 8080
        + web > vault 8081
        + web > vault 8082 v6
        + web > vault 8083
        - web > vault 8084
        - web > vault 8082/udp
        + web > teller 8084/udp
        + web > teller 8082
        - web > teller 8083
        """,
    ),
    "egress": (
        [
            # without policyTypes: of both types, as it has egress rules
            ("shop", labels(app="web"), {"egress": [call(pods(app="db"), ports=[{"port": 8080}])]}),
            ("shop", labels(app="api"), {"policyTypes": ["Egress"]}),
            ("shop", labels(app="db"), {"policyTypes": ["Egress"], "egress": [{}]}),
            (
                "bank",
                labels(app="teller"),
                {"policyTypes": ["Egress"], "egress": [call(ports=[{"port": "http"}])]},
            ),
            ("bank", labels(app="vault"), {"policyTypes": ["Ingress", "Egress"], "ingress": [{}]}),
        ],
        """
        + web > db 8080
        + web > db 8080 v6
        - web > db 8081
        - web > db 8080/udp
        - web > vault 8080
        - api > web 8080
        - api > vault 8080/udp v6
        + db > vault 8080
        + db > api 8084/udp
        + teller > api 8081
        - teller > api 8080
        - teller > vault 8080
        - vault > teller 8080
        - db > web 8080
        """,
    ),
    "address blocks": (
        [
            ("shop", labels(app="db"), {"ingress": [admit(block("10.244.0.0/24", "$web/32"))]}),
            (
                "shop",
                labels(app="api"),
                {"ingress": [admit(block("fd00:7a11:0:244::/64", "$teller6/128"))]},
            ),
            ("bank", labels(app="vault"), {"ingress": [admit(block("0.0.0.0/0"), block("::/0"))]}),
            ("bank", labels(app="teller"), {"egress": [call(block("$vault/32"))]}),
        ],
        """
        - web > db 8080
        + api > db 8080
        + vault > db 8080/udp
        - api > db 8080 v6
        + web > api 8080 v6
        - web > api 8080
        - teller > api 8080 v6
        + web > vault 8080
        + db > vault 8080 v6
        + teller > vault 8080
        - teller > vault 8080 v6
        - web > teller 8080
        """,
    ),
    "empty selectors": (
        [
            ("shop", {}, {"policyTypes": ["Ingress"]}),
            ("shop", labels(app="db"), {"ingress": [admit(ANY_POD)]}),
            ("shop", labels(app="api"), {"ingress": [admit(ANY_NAMESPACE)]}),
            ("bank", labels(app="vault"), {"ingress": [{}]}),
        ],
        """
        - db > web 8080
        - teller > web 8080 v6
        + web > db 8080
        - teller > db 8080
        + web > api 8080
        + teller > api 8080
        + teller > vault 8080
        + web > vault 8080/udp v6
        + web > teller 8080
        """,
    ),
}


@dataclass(frozen=True)
class Row:
    connects: bool
    source: str
    target: str
    port: int
    protocol: str
    version: int

    def __str__(self) -> str:
        protocol, version = self.protocol.lower(), f"v{self.version}"
        return f"{self.source} > {self.target} {self.port}/{protocol} {version}"


def row_of(text: str) -> Row:
    sign, source, _, target, port, *version = text.split()
    number, _, protocol = port.partition("/")
    return Row(
        sign == "+", source, target, int(number), protocol.upper() or "TCP", 6 if version else 4
    )


class Town:
    """The workloads of all worlds, and in each a process that tries connections."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self._policies = mesh, list[Json]()
        for name, (tags, ports) in WORKLOADS.items():
            namespace, _, short = name.partition("/")
            options = [word for tag in tags for word in ("-l", tag)]
            options += [word for port in ports for word in ("-p", port)]
            mesh.tulle("run", "-d", "-n", namespace, "--name", short, *options, "--", *PROBE)
        teams = (("shop", "red"), ("bank", "blue"))
        mesh.apply(*(of_kind("Namespace", "v1", "", at, labels={"team": it}) for at, it in teams))
        self.addresses: dict[tuple[str, int], str] = {
            (item["name"], ip_address(text).version): text
            for item in mesh.get("endpoints")
            for text in item["addresses"]
        }
        self._probes = {
            short: mesh.spawn(short, *PROBE, "ask", namespace=name.partition("/")[0])
            for short, name in FULL.items()
        }

    def enforce(self, policies: list[Policy]) -> None:
        """These policies and no others."""
        if self._policies:
            self.mesh.delete(*self._policies)
        names = {
            f"{at}{'' if version == 4 else 6}": text
            for (at, version), text in self.addresses.items()
        }
        self._policies = []
        for number, (namespace, selector, rest) in enumerate(policies):
            made = of_kind(
                "NetworkPolicy",
                "networking.k8s.io/v1",
                namespace,
                f"policy-{number}",
                spec={"podSelector": selector, **rest},
            )
            self._policies.append(yaml.safe_load(Template(yaml.safe_dump(made)).substitute(names)))
        if self._policies:
            self.mesh.apply(*self._policies)

    def try_all(self, rows: list[Row]) -> dict[Row, bool]:
        """All connections at once; those that should have come about, more often."""
        found = self._try(rows)
        for _ in range(ATTEMPTS - 1):
            late = [row for row, came in found.items() if row.connects and not came]
            found |= self._try(late)
        return found

    def _try(self, rows: list[Row]) -> dict[Row, bool]:
        by_source = {name: [row for row in rows if row.source == name] for name in FULL}
        for name, own in by_source.items():
            asked = [
                [row.protocol, self.addresses[row.target, row.version], row.port] for row in own
            ]
            pipe = self._probes[name].stdin
            assert pipe
            print(json.dumps(asked), file=pipe, flush=True)
        found: dict[Row, bool] = {}
        for name, own in by_source.items():
            answer = self._probes[name].stdout
            assert answer
            found |= dict(zip(own, json.loads(answer.readline()), strict=True))
        return found

    def explain(self, row: Row) -> Json:
        ends = [self.addresses[name, row.version] for name in (row.source, row.target)]
        if row.version == 4:  # by name, as users do
            ends = [FULL[row.source], FULL[row.target]]
        options = ("--port", str(row.port), "--protocol", row.protocol, "-o", "json")
        told: Json
        [told] = json.loads(self.mesh.tulle("explain", *ends, *options, check=False))["results"]
        return told

    def dropped(self) -> list[Json]:
        return self.mesh.flows("--verdict", "DROPPED", "--last", "100000")

    def rules_of_drops(self) -> dict[tuple[str, str, str, int], str]:
        """What `observe` says: (source, destination, protocol, port) → rule."""
        found = {}
        for flow in self.dropped():
            [(protocol, ports)] = flow["l4"].items()
            ends = flow["IP"]["source"], flow["IP"]["destination"]
            found[(*ends, protocol, ports["destination_port"])] = flow["rule"]
        return found


@pytest.fixture(scope="module")
def town(mesh: Mesh) -> Iterator[Town]:
    yield Town(mesh)


@pytest.mark.parametrize("name", WORLDS)
def test_policies_decide_who_connects(town: Town, name: str) -> None:
    policies, text = WORLDS[name]
    rows = [row_of(line) for line in text.splitlines() if line.strip()]
    town.enforce(policies)
    tried = town.try_all(rows)
    assert [str(row) for row, came in tried.items() if came != row.connects] == []
    told = {row: town.explain(row) for row in rows}
    verdicts = {True: "FORWARDED", False: "DROPPED"}
    wrong = [str(row) for row in rows if told[row]["verdict"] != verdicts[row.connects]]
    assert wrong == []
    expected = {
        (
            town.addresses[row.source, row.version],
            town.addresses[row.target, row.version],
            row.protocol,
            row.port,
        ): told[row]["rule"]
        for row in rows
        if not row.connects
    }
    assert all(rule.startswith("default deny by NetworkPolicy ") for rule in expected.values())
    wait_for(lambda: expected.keys() <= town.rules_of_drops().keys())
    shown = town.rules_of_drops()
    assert {key: shown[key] for key in expected} == expected


def test_every_drop_names_its_reason_and_rule(town: Town) -> None:
    flows = town.dropped()
    assert len(flows) > 20
    for flow in flows:
        assert flow["reason"] == "POLICY_DENIED"
        assert flow["rule"].startswith("default deny by NetworkPolicy "), flow


def test_an_empty_peer_is_refused(town: Town) -> None:
    """Kubernetes asks for a peer, too: what `from: [{}]` would mean is anybody's guess."""
    town.enforce([])
    made = of_kind(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        "shop",
        "nobody",
        spec={"podSelector": {}, "ingress": [{"from": [{}]}]},
    )
    with pytest.raises(AssertionError, match=r"from\[0\]"):
        town.mesh.apply(made)
