"""What is said of requests where rules of policies read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.compile.explain.request_rows import request, ruled
from tests.unit.compile.explain.town import asked, policy, service, town
from tests.unit.compile.explain.town import flow as flow_of
from tulle.agent.judging import AMBIGUOUS, HELD_REASON, RUNG_REASON, judged
from tulle.compile.explain.requests import Request
from tulle.model.kubernetes import Namespace, ObjectMeta
from tulle.model.world import Settings

CNP = "CiliumNetworkPolicy"
READS = policy("shop/p", ruled("{path: /a, method: GET}"), CNP)
OUT = policy("shop/q", ruled("{path: '/a.*'}").replace("ingress", "egress"), CNP)
INGRESS = f"{CNP} shop/p ingress[0].toPorts[0]"
EGRESS = f"{CNP} shop/q egress[0].toPorts[0]"
DB = flow_of("shop/web > shop/db")


def told(text: str | None, *policies: Any, flow: str = "shop/web > shop/db") -> dict[str, Any]:
    verdict = asked(flow, *policies)
    asks = request(text) if text else None
    return judged(town(*policies), verdict, asks, flow_of(flow))


def test_where_no_rule_reads_requests_nothing_is_said() -> None:
    nothing = {"allows": [], "answer": None, "request_rules": []}
    assert told("GET /a") == nothing
    assert told("GET /a", READS, flow="shop/web > shop/db TCP 81") == nothing


def test_of_a_connection_all_that_is_allowed() -> None:
    found = told(None, READS, OUT)
    outwards = "egress: what leaves is judged before it leaves, and the kernel reads at the server"
    why = f"({outwards}; nodes were not started with --stream)"
    assert (found["rung"], found["rung_reason"]) == (3, f"{RUNG_REASON} {why}")
    assert found["allows"] == [
        {"rule": EGRESS, "requests": ["path /a.*"]},
        {"rule": INGRESS, "requests": ["method GET, path /a"]},
    ]


def test_a_namespace_that_has_a_proxy_is_named() -> None:
    metadata = ObjectMeta("shop", annotations={"tulle.io/proxy-scope": "namespace"})
    reads = policy("shop/p", ruled("{path: '/a?'}"), CNP)
    world = replace(town(reads), namespaces={"shop": Namespace(metadata)})
    found = judged(world, asked("shop/web > shop/db", reads), None, DB)
    assert ", in the proxy of namespace/shop" in found["rung_reason"]


def test_what_the_kernel_judges_and_what_forces_more() -> None:
    """On nodes that judge at sockets."""

    def at_sockets(path: str) -> tuple[int, str]:
        item = policy("shop/p", ruled(f"{{path: '{path}'}}"), CNP)
        world = replace(town(item), settings=Settings(stream=True))
        found = judged(world, asked("shop/web > shop/db", item), None, DB)
        return found["rung"], found["rung_reason"]

    assert at_sockets("/a") == (2, HELD_REASON)
    rung, reason = at_sockets("/a?")
    assert rung == 3 and "rules.http[0].path is a regular expression: it has '?'" in reason


def test_a_port_that_speaks_something_else_is_the_proxys() -> None:
    item = policy("shop/p", ruled("{path: /a}"), CNP)
    speaks = service("shop/db", "{app: db}", "{port: 80, appProtocol: grpc}")
    world = replace(town(item, speaks), settings=Settings(stream=True))

    def rung(of: str) -> tuple[int, str]:
        found = judged(world, asked(of, item), None, flow_of(of))
        return found["rung"], found["rung_reason"]

    number, reason = rung("shop/web > shop/db")
    why = "(port 80 speaks HTTP/2: appProtocol grpc in Service shop/db)"
    assert (number, reason) == (3, f"{RUNG_REASON} {why}")
    assert rung("shop/web > shop/api") == (2, HELD_REASON)


def test_a_request_must_pass_at_both_ends() -> None:
    found = told("GET /a", READS, OUT)
    assert found["request_rules"] == [f"{EGRESS}.rules.http[0]", f"{INGRESS}.rules.http[0]"]
    assert (found["answer"], "verdict" in found) == (None, False)
    denied = told("GET /ab", READS, OUT)
    assert (denied["verdict"], denied["reason"]) == ("DROPPED", "POLICY_DENIED")
    assert denied["answer"] == f"403: denied by policy: not allowed by {INGRESS}"
    assert denied["request_rules"] == [f"{EGRESS}.rules.http[0]"]
    assert EGRESS in told("GET /b", READS, OUT)["answer"]


def test_what_can_be_read_in_two_ways_is_refused() -> None:
    assert told("GET /a%2fb", READS)["answer"] == AMBIGUOUS


def test_the_kernel_reads_what_comes_as_it_comes() -> None:
    """Where a proxy made it normal before, it is."""
    inward = policy("shop/p", ruled("{path: '/a', headers: [X-Role]}"), CNP)

    def answer(text: str, *policies: Any) -> str | None:
        world = replace(town(*policies), settings=Settings(stream=True))
        verdict = asked("shop/web > shop/db", *policies)
        said: str | None = judged(world, verdict, request(text), DB)["answer"]
        return said

    assert answer("GET /a x-role=1", inward) is None
    assert answer("GET /b/../a x-role=1", inward) == f"{AMBIGUOUS}: its path"
    assert answer("GET /a x-role=1 X_Role=1", inward) == f"{AMBIGUOUS}: the header 'X_Role'"
    assert answer("GET /b/../a x-role=1", inward, OUT) is None
    assert answer("GET /a%2fb x-role=1", inward, OUT) == AMBIGUOUS


def test_audited_rules_are_named_and_deny_nothing() -> None:
    audited = policy("shop/p", ruled("{path: /a}"), CNP, audit="true")
    assert "audit_rule" not in told("GET /a", audited)
    for text in ("GET /b", "GET /a%2fb"):
        found = told(text, audited)
        assert (found["audit_rule"], found["answer"]) == (INGRESS, None)


def test_the_name_of_a_tls_server_is_the_host() -> None:
    text = "{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], "
    item = policy("shop/p", text + "serverNames: [a.test, '*.b.test', '**.c.test']}]}]}", CNP)
    for host, passes in (
        ("a.test", True),
        ("A.test", True),
        ("b.test", False),
        ("x.b.test", True),
        ("x.y.b.test", False),
        ("x.y.c.test", True),
        ("c.test", False),
        (".b.test", False),
    ):
        found = told(f"GET / host={host}", item, flow="shop/web > internet TCP 443")
        assert (found["answer"] is None) is passes, host
        why = "(toPorts[0].serverNames: the proxy judges names in TLS)"
        assert (found["rung"], found["rung_reason"]) == (3, f"{RUNG_REASON} {why}")


def test_where_names_and_requests_count_it_is_said_which_is_meant() -> None:
    text = "{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], "
    both = text + (
        "serverNames: [a.test]}, {ports: [{port: '443', protocol: TCP}], "
        "rules: {http: [{path: /a}]}}]}]}"
    )
    item = policy("shop/p", both, CNP)
    verdict = asked("shop/web > internet TCP 443", item)

    def said(path: str, host: str, tls: bool) -> str | None:
        found = judged(town(item), verdict, Request("GET", path, host, (), tls), DB)
        answer: str | None = found["answer"]
        return answer and answer.partition(":")[0]

    assert (said("/", "a.test", True), said("/", "b.test", True)) == (None, "closed")
    assert (said("/a", "b.test", False), said("/b", "a.test", False)) == (None, "403")
