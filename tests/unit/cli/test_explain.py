"""The verdict, the rules and the rung, before any packet is sent."""

import json

import pytest

from .conftest import Cli, FakeAgent

RESULT = {
    "source": "shop/web-1",
    "destination": "shop/db-1",
    "port": 5432,
    "protocol": "TCP",
    "frontend": {
        "kind": "ClusterIP",
        "address": "10.96.0.9:5432/TCP",
        "node": "west",
        "rung": 0,
    },
    "verdict": "FORWARDED",
    "reason": "ALLOWED",
    "rule": "NetworkPolicy shop/db ingress[0]",
    "egress_rule": "no policy selects the workload",
    "ingress_rule": "NetworkPolicy shop/db ingress[0]",
    "audit_rule": None,
    "reject": False,
    "nodes": ["west", "east"],
    "route": ["through the overlay to node east"],
    "rung": 1,
    "rung_reason": "addresses, protocol and port decide it",
    "share": 0.5,
    "notes": [],
    "allows": [],
    "answer": None,
    "request_rules": [],
}
DENIED = {
    **RESULT,
    "verdict": "DROPPED",
    "reason": "NO_BACKEND",
    "rule": "Service shop/db has no ready endpoint",
    "egress_rule": None,
    "ingress_rule": None,
    "nodes": [],
    "route": [],
    "share": None,
}


def answer(*results: dict[str, object]) -> tuple[int, dict[str, object]]:
    return 200, {
        "from": "shop/web",
        "to": "shop/db",
        "service": "Service shop/db",
        "results": list(results),
    }


def test_allowed(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"POST /v1/explain": answer(RESULT)}
    done = cli("explain", "shop/web", "shop/db", "--port", "5432")
    assert done.stdout.splitlines() == [
        "shop/web → shop/db:5432 (TCP)",
        "rung 0: Service shop/db 10.96.0.9:5432/TCP: connect() chooses among 1 backend",
        "",
        "FORWARDED  shop/web-1 → shop/db-1:5432  50% of connections",
        "  rung     1: addresses, protocol and port decide it",
        "  route    through the overlay to node east",
        "  egress   no policy selects the workload",
        "  ingress  NetworkPolicy shop/db ingress[0]",
    ]
    assert json.loads(agent.asked[0][2]) == {
        "from": "shop/web",
        "to": "shop/db",
        "port": 5432,
        "protocol": "TCP",
    }


def test_one_denied_path_is_exit_code_3(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"POST /v1/explain": answer(RESULT, DENIED)}
    done = cli("explain", "shop/web", "shop/db", "--port", "5432", code=3)
    assert done.stdout.endswith(
        "  rule     Service shop/db has no ready endpoint\n"
        "  reason   NO_BACKEND: service without a ready endpoint\n"
    )
    done = cli("explain", "shop/web", "shop/db", "--port", "5432", "-o", "json", code=3)
    assert json.loads(done.stdout)["results"] == [RESULT, DENIED]


def test_what_is_told_of_audits_answers_and_what_is_not_in_force(
    agent: FakeAgent, cli: Cli
) -> None:
    item = {
        **RESULT,
        "verdict": "DROPPED",
        "reason": "POLICY_DENIED",
        "audit_rule": "default deny by NetworkPolicy shop/web (egress)",
        "reject": True,
        "notes": ["NetworkPolicy shop/db: ipcache is full"],
    }
    agent.answers = {"POST /v1/explain": answer(item)}
    done = cli("explain", "shop/web", "shop/db", "--port", "5432", code=3)
    assert done.stdout.splitlines()[-4:] == [
        "  audit    would be denied: default deny by NetworkPolicy shop/web (egress)",
        "  reason   POLICY_DENIED: denied by policy",
        "  answer   the sender is told: a TCP reset, or ICMP prohibited",
        "  note     NetworkPolicy shop/db: ipcache is full",
    ]


def test_a_node_chooses_for_clients_outside(agent: FakeAgent, cli: Cli) -> None:
    at = {"kind": "NodePort", "address": "nodePort 30080/TCP", "node": "west", "rung": 1}
    agent.answers = {"POST /v1/explain": answer({**RESULT, "frontend": at})}
    done = cli("explain", "192.0.2.1", "shop/db", "--port", "5432")
    assert done.stdout.splitlines()[1] == (
        "rung 1: Service shop/db nodePort 30080/TCP: node west chooses among 1 backend"
    )


@pytest.mark.parametrize(("protocol", "kind"), [("icmp", 8), ("ICMPv6", 128)])
def test_icmp_has_no_port(agent: FakeAgent, cli: Cli, protocol: str, kind: int) -> None:
    agent.answers = {"POST /v1/explain": answer({**RESULT, "protocol": "ICMP", "port": 8})}
    done = cli("explain", "a/b", "10.0.0.1", "--protocol", protocol)
    assert "shop/web-1 → shop/db-1 type 8  50%" in done.stdout
    asked = json.loads(agent.asked[0][2])
    assert asked["protocol"] in ("ICMP", "ICMPv6")
    assert asked["port"] == kind


def test_tcp_needs_a_port(cli: Cli) -> None:
    assert "--port is needed for TCP" in cli("explain", "a/b", "c/d", code=2).stderr


REQUEST = {
    "rung": 3,
    "why": "its rules read requests, which the node's proxy does",
    "scope": "namespace/shop",
    "front": "service/shop/db/80",
    "listener": "shop",
    "hostname": "*",
    "rule": "HTTPRoute shop/db rules[0]",
    "match": "path prefix /",
    "filters": ["timeout 500 ms"],
    "destinations": [
        {"service": "shop/db", "port": 80, "share": 0.95, "broken": None},
        {"service": "shop/new", "port": 80, "share": 0.05, "broken": "no such Service"},
    ],
}


def test_a_request_meets_a_rule(agent: FakeAgent, cli: Cli) -> None:
    code, told = answer({**RESULT, "frontend": None, "rung": 3, "share": 0.95})
    agent.answers = {"POST /v1/explain": (code, {**told, "request": REQUEST})}
    words = ("--http", "get /cart?id=1", "--host", "db.test", "--header", "X-Tier=gold=1")
    done = cli("explain", "shop/web", "shop/db", "--port", "80", *words)
    assert done.stdout.splitlines()[1:11] == [
        "rung 3: its rules read requests, which the node's proxy does",
        "  proxy    namespace/shop",
        "  listener shop of service/shop/db/80",
        "  rule     HTTPRoute shop/db rules[0]",
        "  match    path prefix /",
        "  does     timeout 500 ms",
        "  to       shop/db:80  95%",
        "  to       shop/new:80  5% (no such Service)",
        "",
        "FORWARDED  shop/web-1 → shop/db-1:5432  95% of requests",
    ]
    assert json.loads(agent.asked[0][2])["http"] == {
        "method": "GET",
        "path": "/cart?id=1",
        "host": "db.test",
        "headers": [["X-Tier", "gold=1"]],
    }


def test_what_the_proxy_answers_itself(agent: FakeAgent, cli: Cli) -> None:
    code, told = answer()
    request = {**REQUEST, "rule": None, "match": None, "filters": [], "destinations": []}
    request["answer"] = "404: no rule matches"
    agent.answers = {"POST /v1/explain": (code, {**told, "request": request})}
    done = cli("explain", "shop/web", "shop/db", "--port", "80", "--http", "GET /")
    assert done.stdout.splitlines()[-1] == "  answer   404: no rule matches"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--http", "/cart"), "is not like 'GET /path'"),
        (("--http", "GET cart"), "is not like 'GET /path'"),
        (("--header", "gold"), "'gold' is not NAME=VALUE"),
    ],
)
def test_a_request_that_makes_no_sense(cli: Cli, words: tuple[str, ...], reason: str) -> None:
    assert reason in cli("explain", "a/b", "c/d", "--port", "80", *words, code=2).stderr


PART = {"rule": "CiliumNetworkPolicy shop/db ingress[0].toPorts[0]", "requests": ["method GET"]}


def test_what_rules_of_policies_allow_of_requests(agent: FakeAgent, cli: Cli) -> None:
    read = {"rung": 3, "rung_reason": "rules read it", "allows": [PART, {**PART, "requests": []}]}
    agent.answers = {"POST /v1/explain": answer({**RESULT, **read})}
    lines = cli("explain", "shop/web", "shop/db", "--port", "5432").stdout.splitlines()
    assert [line for line in lines if line.startswith(("  allows", "    by"))] == [
        "  allows   method GET",
        f"    by     {PART['rule']}",
        "  allows   no request",
        f"    by     {PART['rule']}",
    ]


def test_which_rule_lets_a_request_pass_and_what_is_answered(agent: FakeAgent, cli: Cli) -> None:
    passed = {**RESULT, "request_rules": ["CiliumNetworkPolicy a"]}
    refused = {**DENIED, "reason": "POLICY_DENIED", "answer": "403: denied by policy"}
    agent.answers = {"POST /v1/explain": answer(passed, refused)}
    lines = cli("explain", "a/b", "c/d", "--port", "80", "--http", "GET /", code=3).stdout
    assert "  request  CiliumNetworkPolicy a\n" in lines
    assert "  answer   403: denied by policy\n" in lines


def test_a_host_alone_may_be_the_name_of_a_tls_server(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"POST /v1/explain": answer(RESULT)}
    cli("explain", "a/b", "c/d", "--port", "443", "--host", "db.test")
    http = json.loads(agent.asked[0][2])["http"]
    assert (http["tls"], http["host"]) == (True, "db.test")
