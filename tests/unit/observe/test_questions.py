"""Questions and answers that the kernel has heard, as flows in Hubble's words."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tulle.abi import DnsEvent, NameLimit, Reason
from tulle.compile.fqdns import reversed_text
from tulle.compile.parts import packed
from tulle.compile.rule_sets import Part, RuleSet
from tulle.compile.rules import Layer7
from tulle.errors import UsageError
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import Rule
from tulle.observe.filters import parse
from tulle.observe.flows import FlowDict, flow_of
from tulle.observe.questions import Asked
from tulle.observe.text import compact

from .samples import NAMES, event

RULE = Rule("egress", ObjectRef("CiliumNetworkPolicy", "shop", "names"), 0)
PARTS = (Part(RULE, Layer7("toPorts[0]", dns=("only.example", "*.shop.example"))),)
SETS = {7: RuleSet(7, "", PARTS)}
PLACE = "CiliumNetworkPolicy shop/names egress[0].toPorts[0]"
RESOLVER = ip_address("192.0.2.53")
KNOWN = replace(NAMES, learnt=lambda ifindex, _: ("api.shop.example",) if ifindex == 7 else ())
RESPONSE = 0x8180


def told(flags: int = 0x0100, *addresses: str, **changes: int) -> FlowDict:
    text = reversed_text("api.shop.example")
    filled = [packed(ip_address(item)) for item in addresses]
    filled += [bytes(16)] * (NameLimit.TOLD - len(filled))
    asked = DnsEvent(
        proto=17,
        client=packed(ip_address("10.244.0.2")),
        resolver=packed(RESOLVER),
        port=40000,
        resolver_port=53,
        qtype=1,
        flags=flags,
        reason=int(Reason.ALLOWED),
        rules=7,
        found=len(addresses),
        ttl_s=30,
        bits=len(text) * 8,
        text=text.ljust(NameLimit.TEXT, b"\0"),
        address=tuple(filled),
    )
    return Asked(asked._replace(**changes).pack(), SETS).flow(KNOWN)


def test_a_question_names_the_rule_that_means_it() -> None:
    flow = told()
    assert (flow["verdict"], flow["rule"]) == ("FORWARDED", f"{PLACE}.rules.dns[1]")
    assert flow["l7"] == {
        "type": "REQUEST",
        "dns": {"query": "api.shop.example.", "observation_source": "kernel", "qtypes": ["A"]},
    }
    assert flow["source"]["pod_name"] == "web-1"
    line = "dns-request FORWARDED (DNS Query api.shop.example. A) CiliumNetworkPolicy"
    assert line in compact(flow)


def test_an_answer_has_its_addresses_and_its_code() -> None:
    flow = told(RESPONSE, "203.0.113.7", "2001:db8::7")
    dns = flow["l7"]["dns"]
    assert (flow["l7"]["type"], dns["rcode"], dns["ttl"]) == ("RESPONSE", 0, 30)
    assert dns["ips"] == ["203.0.113.7", "2001:db8::7"]
    assert flow["Summary"] == 'DNS Answer "203.0.113.7,2001:db8::7" TTL: 30 (api.shop.example. A)'
    assert flow["destination"]["pod_name"] == "web-1"
    assert flow["l4"] == {"UDP": {"source_port": 53, "destination_port": 40000}}
    assert "Non-Existent Domain" in told(RESPONSE + 3)["Summary"]


def test_refused_and_audited_ones_name_all_that_they_could_have_met() -> None:
    refused, audited = told(reason=int(Reason.DNS_REFUSED)), told(unmet=1)
    assert (refused["verdict"], refused["reason"]) == ("DROPPED", "DNS_REFUSED")
    assert refused["rule"] == audited["audit_rule"]["rule"] == f"not allowed by {PLACE}"
    assert audited["verdict"] == "AUDIT"
    gone = Asked(DnsEvent(rule=300, client=bytes(16), resolver=bytes(16), proto=6).pack(), {}).flow(
        NAMES
    )
    assert "TCP" in gone["l4"]
    assert gone["rule"] == str(NAMES.rules[300])


OUTSIDE = flow_of(event(dst="203.0.113.7", identities=(257, 2)), KNOWN)


def test_addresses_bear_the_names_that_their_workload_knows() -> None:
    assert OUTSIDE["destination_names"] == ["api.shop.example"]
    assert "source_names" not in OUTSIDE
    assert " -> api.shop.example:5432 (world) " in compact(OUTSIDE)


@pytest.mark.parametrize(
    ("name", "value", "matches"),
    [
        ("to-fqdn", "API.shop.example.", "packet"),
        ("fqdn", "*.example", "packet"),
        ("from-fqdn", "*", ""),
        ("to-fqdn", "shop.example", ""),
        ("protocol", "dns", "question"),
        ("protocol", "udp", "question"),
        ("dns-query", r"^api\.", "question"),
        ("dns-query", "evil", ""),
    ],
)
def test_they_are_found_by_their_names(name: str, value: str, matches: str) -> None:
    query = parse([(name, value)], 0)
    flows = {"question": told(), "packet": OUTSIDE}
    assert {key for key, flow in flows.items() if query.matches(flow)} == set(matches.split())


@pytest.mark.parametrize(("name", "value"), [("fqdn", "a b"), ("dns-query", "(")])
def test_what_is_no_name_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}"):
        parse([(name, value)], 0)
