"""Filters mean what `hubble observe` means by them."""

import pytest

from tulle.abi import Reason
from tulle.errors import UsageError
from tulle.observe.filters import parse
from tulle.observe.flows import flow_of
from tulle.observe.requests import request_flow

from .samples import NAMES, access, event

ALLOWED = flow_of(event(), NAMES)
DENIED = flow_of(event(Reason.POLICY_DENIED, rules=(1, 301)), NAMES)
SPOOFED = flow_of(
    event(Reason.SPOOFED_SOURCE, src="192.0.2.1", dst="fd00::3", proto=17, rules=(0, 0)), NAMES
)
AUDITED = flow_of(event(src="192.0.2.9", dst="192.0.2.10", proto=6, audit=301), NAMES)
NOW_NS = NAMES.clock_offset_ns + 60 * 10**9
FLOWS = {"allowed": ALLOWED, "denied": DENIED, "spoofed": SPOOFED}


def shown(*params: tuple[str, str]) -> set[str]:
    query = parse(params, NOW_NS)
    return {name for name, flow in FLOWS.items() if query.matches(flow)}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([], "allowed denied spoofed"),
        ([("verdict", "dropped")], "denied spoofed"),
        ([("verdict", "DROPPED"), ("verdict", "FORWARDED")], "allowed denied spoofed"),
        ([("from-pod", "shop/web")], "allowed denied"),
        ([("from-pod", "shop/")], "allowed denied"),
        ([("from-pod", "web")], ""),  # without a namespace it is `default`
        ([("to-pod", "shop/web")], ""),
        ([("pod", "shop/db")], "allowed denied spoofed"),
        ([("from-pod", "shop/web"), ("verdict", "DROPPED")], "denied"),
        ([("namespace", "shop")], "allowed denied spoofed"),
        ([("from-namespace", "shop")], "allowed denied"),
        ([("to-namespace", "other")], ""),
        ([("from-ip", "192.0.2.1")], "spoofed"),
        ([("ip", "192.0.2.0/24")], "spoofed"),
        ([("ip", "10.244.0.0/16")], "allowed denied"),
        ([("to-ip", "fd00:0::3")], "spoofed"),
        ([("protocol", "UDP")], "spoofed"),
        ([("protocol", "icmp")], ""),
        ([("port", "5432")], "allowed denied spoofed"),
        ([("from-port", "5432")], ""),
        ([("to-port", "5432"), ("protocol", "tcp")], "allowed denied"),
        ([("label", "app=web")], "allowed denied spoofed"),
        ([("to-label", "k8s:app=db")], "allowed denied spoofed"),
        ([("to-label", "app")], "allowed denied spoofed"),
        ([("from-label", "tier")], ""),
        ([("drop-reason", "policy_denied")], "denied"),
        ([("drop-reason", "INVALID_SOURCE_IP")], "spoofed"),
        ([("drop-reason", "spoofed_source")], "spoofed"),
        ([("since", "5m")], "allowed denied spoofed"),
        ([("since", "59")], ""),
        ([("since", "60s")], "allowed denied spoofed"),
        ([("since", "2023-11-14T22:13:20Z")], "allowed denied spoofed"),
        ([("since", "2023-11-14T23:13:21+01:00")], ""),
    ],
)
def test_filters(params: list[tuple[str, str]], expected: str) -> None:
    assert shown(*params) == set(expected.split())


def test_audits_are_a_verdict_of_their_own() -> None:
    for verdict, matches in (("AUDIT", True), ("audit", True), ("FORWARDED", False)):
        assert parse([("verdict", verdict)], NOW_NS).matches(AUDITED) is matches


def test_what_is_no_predicate() -> None:
    query = parse([("last", "20"), ("follow", "1")], NOW_NS)
    assert (query.first, query.last, query.follow) == (None, 20, True)
    assert parse([("first", "3")], NOW_NS).first == 3


def test_a_packet_that_did_not_parse_passes_through_every_filter() -> None:
    bare = {"source": {}, "destination": {}, "verdict": "DROPPED", "reason": "MALFORMED"}
    for name in ("pod", "namespace", "label"):
        assert not parse([(name, "a")], NOW_NS).matches(bare)
    for name, value in (("ip", "10.0.0.1"), ("ip", "::/0"), ("port", "1"), ("protocol", "tcp")):
        assert not parse([(name, value)], NOW_NS).matches(bare)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("colour", "red", "no filter is called 'colour'"),
        ("from-verdict", "DROPPED", "no filter is called 'from-verdict'"),
        ("verdict", "MAYBE", "verdict 'MAYBE': must be one of FORWARDED, DROPPED, AUDIT"),
        ("port", "http", "port 'http': must be a number from 1 to 65535"),
        ("port", "65536", "port '65536'"),
        ("last", "0", "last '0': must be a number from 1"),
        ("last", "²", "last '²'"),
        ("ip", "10.0.0.256", "ip '10.0.0.256': must be an address or a CIDR"),
        ("since", "yesterday", "since 'yesterday': must be like 30s"),
        ("protocol", "gopher", "protocol 'gopher': must be one of tcp"),
        ("drop-reason", "none", "drop-reason 'none': must be one of BEHIND"),
    ],
)
def test_what_cannot_be_asked(name: str, value: str, said: str) -> None:
    with pytest.raises(UsageError, match="^" + said.replace("²", "\N{SUPERSCRIPT TWO}")):
        parse([(name, value)], NOW_NS)


def test_first_and_last_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude"):
        parse([("first", "1"), ("last", "1")], NOW_NS)


REQUESTS = {
    "found": request_flow(access(), NAMES),
    "missing": request_flow(access(404, path="/cartoon"), NAMES),
    "broken": request_flow(access(503, path="/"), NAMES),
    "packet": ALLOWED,
}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([("protocol", "http")], "found missing broken"),
        ([("protocol", "tcp")], "found missing broken packet"),
        ([("http-status", "404")], "missing"),
        ([("http-status", "4+"), ("http-status", "50+")], "missing broken"),
        ([("http-method", "get")], "found missing broken"),
        ([("http-method", "POST")], ""),
        ([("http-path", "^/cart$")], "found"),
        ([("http-path", "/cart")], "found missing"),
        ([("http-path", "id=1")], ""),  # of the query nothing
        ([("from-pod", "shop/web"), ("http-status", "200")], "found"),
    ],
)
def test_requests_are_found_by_what_they_ask(params: list[tuple[str, str]], expected: str) -> None:
    query = parse(params, NOW_NS)
    found = {name for name, flow in REQUESTS.items() if query.matches(flow)}
    assert found == set(expected.split())


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("http-status", "6", "http-status '6': must be like 404, 40\\+ or 5\\+"),
        ("http-status", "20", "must be like"),
        ("http-path", "(", "http-path '\\(': missing \\)"),
    ],
)
def test_a_filter_of_requests_that_makes_no_sense(name: str, value: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse([(name, value)], NOW_NS)
