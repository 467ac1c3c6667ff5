"""Requests that the kernel has judged, as they are told."""

from __future__ import annotations

from tulle.abi import HttpEvent, HttpLimit, HttpRefusal, HttpSeen, TalkKind
from tulle.compile.rule_sets import Part, RuleSet
from tulle.compile.rules import HttpRule, Layer7
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import Rule
from tulle.observe.held import REFUSALS, Judged
from tulle.observe.names import Names
from tulle.observe.requests import request_flow

RULE = Rule("ingress", ObjectRef("CiliumNetworkPolicy", "shop", "web"), 0)
HTTP = (HttpRule("toPorts[0].rules.http[0]"), HttpRule("toPorts[0].rules.http[1]"))
SETS = {7: RuleSet(7, "", (Part(RULE, Layer7("toPorts[0]", HTTP)),))}
NAME = "CiliumNetworkPolicy shop/web ingress[0].toPorts[0]"
PLAIN = HttpEvent(
    src=bytes(10) + b"\xff\xff\x0a\x00\x00\x01",
    dst=bytes(10) + b"\xff\xff\x0a\x00\x00\x02",
    sport=40000,
    dport=8080,
    set=7,
    rule=1,
    path_length=2,
    method_length=3,
    host_length=3,
    method=b"GET",
    host=b"web",
    path=b"/a",
)


def told(event: HttpEvent) -> dict[str, object]:
    return request_flow(Judged(event.pack(), SETS).access(), Names())


def test_what_is_allowed_names_its_rule() -> None:
    flow = told(PLAIN)
    assert (flow["verdict"], flow["rule"]) == ("FORWARDED", f"{NAME}.rules.http[1]")
    assert (flow["hook"], flow["reason"]) == ("stream", "ALLOWED")
    assert flow["traffic_direction"] == "INGRESS"
    assert flow["l7"] == {
        "type": "REQUEST",
        "http": {"method": "GET", "url": "http://web/a", "protocol": "HTTP/1.1"},
    }
    assert flow["Summary"] == "HTTP/1.1 request (GET http://web/a)"


def test_what_is_denied_names_the_rules_and_why() -> None:
    flow = told(PLAIN._replace(status=403, denied=1))
    assert (flow["verdict"], flow["rule"]) == ("DROPPED", f"denied by {NAME}")
    odd = told(PLAIN._replace(status=400, denied=1, refusal=HttpRefusal.AMBIGUOUS_PATH))
    assert str(odd["rule"]).endswith(": its path can be read in more than one way")
    assert set(REFUSALS) == set(HttpRefusal)


def test_what_is_long_is_cut_and_what_is_gone_has_a_number() -> None:
    path = b"/" * HttpLimit.PATH_KEPT
    event = PLAIN._replace(
        path=path, path_length=500, seen=HttpSeen.OLD, set=9, status=403, denied=1
    )
    flow = told(event)
    assert flow["rule"] == "denied by rule set 9"
    request = Judged(event.pack(), SETS).access().request
    assert request and request.protocol == "HTTP/1.0"
    assert request.path == path.decode() + "…"


def test_an_answer_that_was_seen_has_status_and_time() -> None:
    flow = told(PLAIN._replace(status=503, duration_ns=2_345_000))
    assert (flow["verdict"], flow["backend"]) == ("FORWARDED", "10.0.0.2:8080")
    l7 = flow["l7"]
    assert (l7["type"], l7["latency_ns"], l7["http"]["code"]) == ("RESPONSE", "2345000", 503)  # type: ignore[index]
    assert flow["Summary"] == "HTTP/1.1 503 2.35ms (GET http://web/a)"


def test_what_no_rule_reads_says_so_and_why_it_was_not_read() -> None:
    watched = PLAIN._replace(set=0, rule=0)
    flow = told(watched)
    assert (flow["rule"], flow["hook"]) == ("no rule reads it", "packet")
    assert flow["reason"] == "ALLOWED" and "policy" not in flow
    odd = told(watched._replace(refusal=HttpRefusal.FOLDED))
    assert odd["rule"] == "no rule reads it: a header of it is folded"


def test_what_begins_with_no_request_is_told_by_what_it_is() -> None:
    alpn = b"\x02h2\x08http/1.1"
    hello = PLAIN._replace(
        set=0, kind=TalkKind.TLS, host=b"web.shop", host_length=8, path=alpn, path_length=len(alpn)
    )
    flow = told(hello)
    assert flow["l7"] == {
        "type": "REQUEST",
        "protocol": "TLS",
        "tls": {"server_name": "web.shop", "alpn": ["h2", "http/1.1"]},
    }
    assert told(PLAIN._replace(set=0, kind=TalkKind.HTTP2))["Summary"] == (
        "HTTP/2, requests not seen"
    )


def test_a_request_of_http2_says_what_of_it_is_hidden() -> None:
    seen = PLAIN._replace(set=0, kind=TalkKind.H2_REQUEST, status=200, duration_ns=1_000_000)
    flow = told(seen)
    assert flow["Summary"] == "HTTP/2 200 1.00ms (GET http://web/a)"
    assert flow["rule"] == "no rule reads it"
    call = told(seen._replace(grpc=6))
    assert call["Summary"] == "HTTP/2 200 gRPC 5 1.00ms (GET http://web/a)"
    assert call["l7"]["http"]["headers"] == [{"key": "grpc-status", "value": "5"}]  # type: ignore[index]
    hidden = told(seen._replace(method_length=0, path_length=0))
    assert hidden["rule"] == "no rule reads it: method and path not seen"
    assert hidden["Summary"] == "HTTP/2 200 1.00ms (? http://web/…)"
