"""Kernel events become flows in Hubble's words, with the rule that decided."""

import json
from ipaddress import ip_address

import pytest

from tulle.abi import Event, Flow, Hook, Reason, RuleId, Verdict
from tulle.compile.parts import packed
from tulle.observe.flows import flow_of
from tulle.observe.names import Names

from .samples import ACK, NAMES, SYN, event


def test_an_allowed_connection() -> None:
    assert flow_of(event(), NAMES) == {
        "time": "2023-11-14T22:13:20.123456789Z",
        "verdict": "FORWARDED",
        "IP": {"source": "10.244.0.2", "destination": "10.244.0.3", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 43512, "destination_port": 5432, "flags": {"SYN": True}}},
        "source": {
            "identity": 257,
            "namespace": "shop",
            "labels": ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"],
            "pod_name": "web-1",
        },
        "destination": {
            "identity": 260,
            "namespace": "shop",
            "labels": ["k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop"],
            "pod_name": "db",
        },
        "Type": "L3_L4",
        "node_name": "lab-1",
        "event_type": {"type": 5},
        "traffic_direction": "INGRESS",
        "hook": "from-workload",
        "reason": "ALLOWED",
        "rule": "NetworkPolicy shop/db ingress[0]",
        "egress_rule": {
            "id": 1,
            "direction": "egress",
            "rule": "no policy selects the workload",
        },
        "ingress_rule": {
            "id": 300,
            "direction": "ingress",
            "rule": "NetworkPolicy shop/db ingress[0]",
            "policy": {"kind": "NetworkPolicy", "namespace": "shop", "name": "db"},
        },
        "Summary": "TCP Flags: SYN",
    }


def test_a_denied_connection_names_the_default_deny() -> None:
    flow = flow_of(event(Reason.POLICY_DENIED, rules=(RuleId.NOT_ISOLATED, 301)), NAMES)
    assert flow["verdict"] == "DROPPED"
    assert flow["drop_reason_desc"] == "POLICY_DENIED"
    assert flow["rule"] == "default deny by NetworkPolicy shop/db (ingress)"


def test_what_an_audited_policy_would_have_denied() -> None:
    flow = flow_of(event(audit=301), NAMES)
    assert (flow["verdict"], flow["reason"]) == ("AUDIT", "ALLOWED")
    assert flow["event_type"] == {"type": 5}
    assert flow["traffic_direction"] == "INGRESS"
    assert flow["rule"] == "NetworkPolicy shop/db ingress[0]"
    assert flow["audit_rule"] == {
        "id": 301,
        "direction": "ingress",
        "rule": "default deny by NetworkPolicy shop/db (ingress)",
        "policy": {"kind": "NetworkPolicy", "namespace": "shop", "name": "db"},
    }
    denied = flow_of(event(Reason.POLICY_DENIED, rules=(0, 301), audit=300), NAMES)
    assert denied["verdict"] == "DROPPED"
    assert denied["audit_rule"]["id"] == 300


@pytest.mark.parametrize(
    ("hook", "direction", "name"),
    [
        (Hook.FROM_WORKLOAD, "EGRESS", "from-workload"),
        (Hook.TO_WORKLOAD, "INGRESS", "to-workload"),
        (Hook.FROM_UPLINK, "INGRESS", "from-uplink"),
        (Hook.TO_UPLINK, "EGRESS", "to-uplink"),
        (Hook.FROM_OVERLAY, "INGRESS", "from-overlay"),
        (Hook.TO_OVERLAY, "EGRESS", "to-overlay"),
        (99, "EGRESS", "99"),
    ],
)
def test_where_a_packet_was_seen(hook: int, direction: str, name: str) -> None:
    flow = flow_of(event(Reason.NO_ROUTE, rules=(0, 0), hook=hook), NAMES)
    assert (flow["traffic_direction"], flow["hook"]) == (direction, name)


def test_a_policy_is_named_rather_than_the_absence_of_one() -> None:
    flow = flow_of(event(rules=(300, RuleId.NOT_ISOLATED)), NAMES)
    assert flow["rule"] == "NetworkPolicy shop/db ingress[0]"


@pytest.mark.parametrize("reason", [item for item in Reason if item < Reason.MAX])
def test_every_reason_has_words(reason: Reason) -> None:
    flow = flow_of(event(reason, rules=(0, 0)), NAMES)
    assert not flow["rule"].startswith("reason ")
    assert flow.get("drop_reason_desc") != "DROP_REASON_UNKNOWN"
    assert ("drop_reason_desc" in flow) == (reason >= Reason.DROP) == (flow["verdict"] == "DROPPED")


def test_a_drop_without_a_rule_says_its_reason() -> None:
    flow = flow_of(event(Reason.SPOOFED_SOURCE, rules=(0, 0), src="192.0.2.1"), NAMES)
    assert flow["rule"] == "spoofed source address"
    assert flow["event_type"] == {"type": 1}
    assert flow["traffic_direction"] == "EGRESS"
    assert "pod_name" not in flow["source"]
    assert flow["source"]["labels"] == ["k8s:app=web"]  # the identity's, as the address is nobody's


def test_a_service_without_backends_is_told_from_the_caller_s_cgroup() -> None:
    asked = Flow(dst=packed(ip_address("10.96.0.10")), dport=5432, proto=6, hook=Hook.SOCKET)
    verdict = Verdict(int(Reason.NO_BACKEND), dst_identity=3)
    flow = flow_of(Event(0, asked, verdict, service=9, cgroup=4242), NAMES)
    assert flow["Type"] == "SOCK"
    assert flow["event_type"] == {"type": 7}
    assert flow["IP"]["source"] == "10.244.0.2"
    assert flow["source"]["pod_name"] == "web-1"
    assert flow["destination_service"] == {"name": "db", "namespace": "shop"}
    assert flow["rule"] == "Service shop/db has no ready endpoint"
    assert flow["l4"] == {"TCP": {"destination_port": 5432}}


def test_a_packet_to_a_service_address_names_the_service() -> None:
    flow = flow_of(event(Reason.NO_SERVICE_PORT, dst="10.96.0.10", rules=(0, 0)), NAMES)
    assert flow["destination_service"] == {"name": "db", "namespace": "shop"}
    assert flow["rule"] == "Service shop/db has no port 5432/TCP"


def test_ipv6_icmp_and_flags() -> None:
    ping = event(src="fd00::9", dst="fd00::3", proto=58)
    flow = flow_of(ping._replace(flow=ping.flow._replace(dport=128)), NAMES)
    assert flow["IP"]["ipVersion"] == "IPv6"
    assert flow["l4"] == {"ICMPv6": {"type": 128}}
    assert flow["Summary"] == "ICMPv6"
    assert flow_of(event(flags=SYN | ACK), NAMES)["Summary"] == "TCP Flags: SYN, ACK"


def test_numbers_that_nobody_knows_any_more_stay_numbers() -> None:
    flow = flow_of(event(200, rules=(900, 0), proto=99), Names())
    assert flow["reason"] == "200"
    assert flow["rule"] == "reason 200"
    assert flow["drop_reason_desc"] == "DROP_REASON_UNKNOWN"
    assert flow["egress_rule"]["rule"] == "rule 900, which is gone"
    assert flow["l4"] == {"protocol 99": {}}


def test_a_packet_that_did_not_parse() -> None:
    flow = flow_of(Event(verdict=Verdict(int(Reason.MALFORMED)), flow=Flow(hook=1)), NAMES)
    assert flow["rule"] == "malformed packet"
    assert "IP" not in flow
    assert flow["source"] == {}
    assert json.dumps(flow)
