"""Names: what workloads learn from a real resolver is what policies by name let them reach."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, Json, wait_for
from tulle.abi import NameLimit
from tulle.agent.agent import HEARING_PERIOD_S

NAMES = (sys.executable, str(Path(__file__).with_name("names.py")))
# In the block that is routed to the host outside. Many more of one name share its first bytes.
WANTED4, WANTED6, OTHER4 = "203.0.113.10", "2001:db8:5::10", "203.0.113.20"
STORM = 32
MANY = "many.shop.example"  # of so many addresses that no datagram holds them
CROWD = [f"203.0.113.{number}" for number in range(140, 240)]
POLICY = "CiliumNetworkPolicy shop/names"
HOSTS = {
    "api.shop.example": (WANTED4, WANTED6),
    "deep.api.shop.example": (WANTED4,),
    "evil.example": (OTHER4,),
    "notshop.example": (OTHER4,),
    **{f"h{number}.storm.example": (f"203.0.113.{100 + number}",) for number in range(STORM)},
}
ALIASES = {"www.shop.example": "a.cdn.example", "a.cdn.example": "api.shop.example"}
SERVE = """
import socket, threading
def serve(family, address):
    sock = socket.create_server((address, 80), family=family, backlog=512)
    while True:
        sock.accept()[0].close()
threading.Thread(target=serve, args=(socket.AF_INET6, "::"), daemon=True).start()
serve(socket.AF_INET, "0.0.0.0")
"""


def by_name(resolver: str, *selectors: Json) -> Json:
    dns: Json = {"toCIDR": [f"{resolver}/32"], "toPorts": [{"ports": [{"port": "53"}]}]}
    dns["toPorts"][0]["rules"] = {"dns": [{"matchPattern": "*"}]}
    names = {"toFQDNs": list(selectors), "toPorts": [{"ports": [{"port": "80"}]}]}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "names", "namespace": "shop"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "client"}},
            "egress": [dns, names] if selectors else [dns],
        },
    }


def questions(resolver: str, *rules: Json) -> Json:
    """A policy of rules for DNS alone."""
    made = by_name(resolver)
    made["spec"]["egress"][0]["toPorts"][0]["rules"] = {"dns": list(rules)}
    return made


class Field:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.mesh = cluster, cluster["a"]
        self.mesh.run("client", "sleep", "inf")
        self.resolver = self._outside_address()
        for address in sorted({item for items in HOSTS.values() for item in items} | set(CROWD)):
            cluster.outside("ip", "address", "add", address, "dev", "lo")
        hosts = [f"--host-record={name},{','.join(items)}" for name, items in HOSTS.items()]
        hosts += [f"--host-record={MANY},{item}" for item in CROWD]
        aliases = [f"--cname={name},{target}" for name, target in ALIASES.items()]
        cluster.spawn_outside(
            *("dnsmasq", "-k", "--no-resolv", "--no-hosts", "--conf-file=/dev/null"),
            *("--pid-file=", "--user=root", "--local-ttl=1", *hosts, *aliases),
        )
        cluster.spawn_outside(sys.executable, "-c", SERVE)
        wait_for(lambda: "False" not in self.reach("api.shop.example") != "")

    def _outside_address(self) -> str:
        words = self.cluster.outside("ip", "-4", "-br", "address").split()
        return next(word for word in words if word.startswith("192.168.")).split("/")[0]

    def reach(self, name: str) -> str:
        return self.mesh.exec("client", *NAMES, "reach", self.resolver, name).strip()

    def ask_by_tcp(self, name: str, size: int = 4096) -> str:
        return self.mesh.exec("client", *NAMES, "tcp", self.resolver, name, str(size)).strip()

    def ask(self, name: str) -> str:
        return self.mesh.exec("client", *NAMES, "ask", self.resolver, name, "A").strip()


@pytest.fixture(scope="module")
def field(clusters: Clusters) -> Iterator[Field]:
    with clusters("dns", ("a",)) as cluster:
        yield Field(cluster)


def test_names_are_reached_as_soon_as_they_are_known(field: Field) -> None:
    """IPv4 and IPv6, through aliases, and nobody else: each by its first connection."""
    field.mesh.apply(
        by_name(
            field.resolver, {"matchName": "API.shop.example."}, {"matchPattern": "w*.shop.example"}
        )
    )
    assert field.reach("api.shop.example") == f"{WANTED4}=True {WANTED6}=True"
    assert field.reach("www.shop.example") == f"{WANTED4}=True {WANTED6}=True"
    assert field.reach("evil.example") == f"{OTHER4}=False"
    assert field.reach("notshop.example") == f"{OTHER4}=False"
    seen = field.mesh.flows("--to-fqdn", "*.shop.example", "--last", "1000")
    assert {flow["IP"]["destination"] for flow in seen} == {WANTED4, WANTED6}
    assert ["www.shop.example", "api.shop.example"] in [flow["destination_names"] for flow in seen]
    asked = field.mesh.flows("--protocol", "dns", "--dns-query", "^www", "--last", "1000")
    answers = [flow["l7"]["dns"].get("ips") for flow in asked]
    assert answers == [None, [WANTED4], None, [WANTED6]]
    [row] = field.mesh.get("questions")
    assert row["asked"] >= row["answered"] > 6 and row["name"] == "client"
    told = field.mesh.tulle("explain", "shop/client", "www.shop.example", "--port", "80")
    assert f"www.shop.example ({WANTED4}):80" in told and f"egress   {POLICY} egress[1]" in told
    assert {flow["rule"] for flow in asked} == {f"{POLICY} egress[0].toPorts[0].rules.dns[0]"}


def test_a_policy_that_comes_later_knows_what_was_learnt_before(field: Field) -> None:
    field.mesh.apply(by_name(field.resolver))
    assert field.reach("deep.api.shop.example") == f"{WANTED4}=False"
    time.sleep(HEARING_PERIOD_S + 0.5)  # the agent has looked who is gone
    field.mesh.apply(by_name(field.resolver, {"matchPattern": "**.shop.example"}))
    assert field.mesh.exec("client", *NAMES, "connect", WANTED4).strip() == "True"


def test_what_may_be_asked_is_a_rule_of_its_own(field: Field) -> None:
    """A refused question is answered, by its rule; by TCP it is reset."""
    mesh, resolver = field.mesh, field.resolver
    mesh.apply(
        questions(resolver, {"matchName": "api.shop.example"}, {"matchPattern": "*.storm.*"})
    )
    assert field.ask("api.shop.example") == f"0 {WANTED4}"
    assert field.ask("h1.storm.example") == "0 203.0.113.101"
    assert field.ask("evil.example") == "5"
    assert field.ask("API.shop.example") == f"0 {WANTED4}"
    assert field.ask_by_tcp("api.shop.example") == f"0 {WANTED4}"
    assert field.ask_by_tcp("api.shop.example", 2) == "ConnectionResetError"
    assert field.ask_by_tcp("evil.example") == "ConnectionResetError"
    flows = mesh.flows("--verdict", "DROPPED", "--last", "1000")
    told = {flow["reason"]: flow["rule"] for flow in flows}
    for reason in ("DNS_REFUSED", "DNS_UNREADABLE"):
        assert told[reason] == "CiliumNetworkPolicy shop/names egress[0]"
    answer = mesh.tulle("explain", "shop/client", resolver, "--dns", "evil.example", check=False)
    assert f"REFUSED: not allowed by {POLICY} egress[0].toPorts[0]" in answer
    for protocol in ("UDP", "TCP"):
        asked = ("--port", "53", "--protocol", protocol)
        told = mesh.tulle("explain", "shop/client", resolver, *asked, check=False)
        assert "questions for api.shop.example" in told


def test_what_no_datagram_holds_is_asked_by_tcp(field: Field) -> None:
    """By the C library itself, and every address that it finds can be reached at once."""
    field.mesh.apply(by_name(field.resolver, {"matchPattern": "*.shop.example"}))
    found = field.mesh.exec("client", "unshare", "-m", *NAMES, "resolve", field.resolver, MANY)
    assert found.split() == [str(len(CROWD)), "True", "True"]
    flows = field.mesh.flows("--protocol", "tcp", "--dns-query", "^many", "--last", "1000")
    answers = [flow["l7"]["dns"]["ips"] for flow in flows if flow["l7"]["type"] == "RESPONSE"]
    assert len(answers[0]) == NameLimit.TOLD and {*answers[0]} < {*CROWD}


def test_an_agent_that_is_killed_in_a_storm_of_questions_is_not_missed(field: Field) -> None:
    field.mesh.apply(by_name(field.resolver, {"matchPattern": "*.storm.example"}))
    storm = field.mesh.spawn("client", *NAMES, "storm", field.resolver, str(STORM), "3")
    assert storm.stdout
    assert storm.stdout.readline() == "begun\n"
    field.mesh.kill_agent()
    tried, failed = map(int, storm.stdout.readline().split())
    field.cluster.start("a")
    assert tried > 100
    assert failed == 0
