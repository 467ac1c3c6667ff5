"""The verdict, the rules and the rung, before any packet is sent."""

import json

import pytest

from .conftest import Cli, FakeAgent

RESULT = {
    "source": "shop/web-1",
    "destination": "shop/db-1",
    "port": 5432,
    "protocol": "TCP",
    "verdict": "FORWARDED",
    "reason": "ALLOWED",
    "rule": "NetworkPolicy shop/db ingress[0]",
    "egress_rule": "no policy selects the workload",
    "ingress_rule": "NetworkPolicy shop/db ingress[0]",
    "rung": 1,
    "rung_reason": "addresses, protocol and port decide it",
    "share": 0.5,
}
DENIED = {
    **RESULT,
    "verdict": "DROPPED",
    "reason": "NO_BACKEND",
    "rule": "Service shop/db has no ready endpoint",
    "egress_rule": None,
    "ingress_rule": None,
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
        "rung 0: Service shop/db: connect() chooses among 1 backend",
        "",
        "FORWARDED  shop/web-1 → shop/db-1:5432  50% of connections",
        "  rung     1: addresses, protocol and port decide it",
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


@pytest.mark.parametrize("protocol", ["icmp", "ICMPv6"])
def test_icmp_has_no_port(agent: FakeAgent, cli: Cli, protocol: str) -> None:
    agent.answers = {"POST /v1/explain": answer()}
    cli("explain", "a/b", "10.0.0.1", "--protocol", protocol)
    assert json.loads(agent.asked[0][2])["protocol"] in ("ICMP", "ICMPv6")


def test_tcp_needs_a_port(cli: Cli) -> None:
    assert "--port is needed for TCP" in cli("explain", "a/b", "c/d", code=2).stderr
