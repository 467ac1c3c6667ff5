"""Every sentence of NetworkPolicy's reference as a row, on one small town."""

import pytest

from tests.unit.compile.explain.town import flow, policy, told, town
from tulle.abi import Reason
from tulle.compile.explain import explain
from tulle.model.verdict import FROM_NODE, NOT_ISOLATED, TO_ITSELF, Verdict

OPEN = NOT_ISOLATED
SELF = f"{TO_ITSELF} | {TO_ITSELF}"

# Who may come: one ingress rule on shop/db with these peers.
PEERS = [
    # no peers at all: everyone
    ("[]", "shop/web", True),
    ("[]", "bank/web", True),
    ("[]", "internet", True),
    # a podSelector alone stays in the policy's namespace
    ("[{podSelector: {}}]", "shop/web", True),
    ("[{podSelector: {}}]", "bank/web", False),
    ("[{podSelector: {}}]", "internet", False),
    ("[{podSelector: {matchLabels: {app: web}}}]", "shop/web", True),
    ("[{podSelector: {matchLabels: {app: web}}}]", "bank/web", False),
    ("[{podSelector: {matchLabels: {app: web}}}]", "shop/api", False),
    ("[{podSelector: {matchLabels: {app: web, tier: back}}}]", "shop/web", False),
    ("[{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}]",
     "shop/api", True),
    ("[{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}]",
     "shop/web", False),
    # a namespaceSelector alone takes every pod of the namespaces
    ("[{namespaceSelector: {}}]", "shop/web", True),
    ("[{namespaceSelector: {}}]", "bank/vault", True),
    ("[{namespaceSelector: {}}]", "park/tree", True),
    ("[{namespaceSelector: {}}]", "internet", False),
    ("[{namespaceSelector: {matchLabels: {team: blue}}}]", "bank/vault", True),
    ("[{namespaceSelector: {matchLabels: {team: blue}}}]", "shop/web", False),
    ("[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: park}}}]",
     "park/tree", True),
    ("[{namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}]",
     "park/tree", True),
    ("[{namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}]",
     "bank/web", False),
    # both in one peer: and; in two peers: or
    ("[{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]",
     "bank/web", True),
    ("[{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]",
     "bank/vault", False),
    ("[{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]",
     "shop/web", False),
    ("[{namespaceSelector: {}, podSelector: {}}]", "bank/vault", True),
    ("[{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: web}}}]",
     "bank/vault", True),
    ("[{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: web}}}]",
     "shop/web", True),
    ("[{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: web}}}]",
     "shop/api", False),
    # an ipBlock is about addresses, whoever has them
    ("[{ipBlock: {cidr: 192.0.2.0/24}}]", "internet", True),
    ("[{ipBlock: {cidr: 198.51.100.0/24}}]", "internet", False),
    ("[{ipBlock: {cidr: 10.0.0.0/24}}]", "shop/web", True),
    ("[{ipBlock: {cidr: 10.0.0.11/32}}]", "bank/web", True),
    ("[{ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.0/28]}}]", "internet", False),
    ("[{ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.8/29]}}]", "internet", True),
    ("[{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]", "shop/web", False),
    ("[{ipBlock: {cidr: 0.0.0.0/0, except: [172.16.0.0/12, 10.0.0.1/32]}}]", "shop/web", False),
    ("[{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.1/32]}}, {ipBlock: {cidr: 10.0.0.0/30}}]",
     "shop/web", True),
    ("[{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.1/32]}}, {podSelector: {}}]",
     "shop/web", True),
    ("[{ipBlock: {cidr: '::/0'}}]", "internet", False),
]  # fmt: skip


@pytest.mark.parametrize(("peers", "source", "admitted"), PEERS)
def test_peers(peers: str, source: str, admitted: bool) -> None:
    rule = policy("shop/p", f"{{podSelector: {{matchLabels: {{app: db}}}}, ingress: "
                            f"[{{from: {peers}}}]}}")  # fmt: skip
    verdict = explain(town(rule), flow(f"{source} > shop/db"))
    assert verdict.allowed is admitted


@pytest.mark.parametrize(("peers", "destination", "admitted"), PEERS)
def test_peers_mean_the_same_for_egress(peers: str, destination: str, admitted: bool) -> None:
    rule = policy("shop/p", f"{{podSelector: {{matchLabels: {{app: db}}}}, egress: "
                            f"[{{to: {peers}}}], policyTypes: [Egress]}}")  # fmt: skip
    verdict = explain(town(rule), flow(f"shop/db > {destination}"))
    assert verdict.allowed is admitted


@pytest.mark.parametrize(
    ("block", "source", "admitted"),
    [
        ("{cidr: 'fd00::/64'}", "shop/web", True),
        ("{cidr: 'fd00::1/128'}", "shop/api", False),
        ("{cidr: '::/0'}", "internet", True),
        ("{cidr: '::/0', except: ['2001:db8::/32']}", "internet", False),
        ("{cidr: 0.0.0.0/0}", "internet", False),
    ],
)
def test_blocks_of_ipv6(block: str, source: str, admitted: bool) -> None:
    rule = policy("shop/p", f"{{ingress: [{{from: [{{ipBlock: {block}}}]}}]}}")
    assert explain(town(rule), flow(f"{source} > shop/db 6")).allowed is admitted


# What may come: one ingress rule on everything in shop, for everyone, with these ports.
PORTS = [
    ("[]", "shop/api TCP 1", True),
    ("[]", "shop/api SCTP 9", True),
    ("[]", "shop/api ICMP", True),
    ("[]", "shop/api 6 ICMPv6", True),
    # by number; TCP unless it says otherwise
    ("[{port: 8080}]", "shop/api TCP 8080", True),
    ("[{port: 8080}]", "shop/api TCP 8081", False),
    ("[{port: 8080}]", "shop/api UDP 8080", False),
    ("[{port: 8080}]", "shop/api ICMP", False),
    ("[{port: 53, protocol: UDP}]", "shop/api UDP 53", True),
    ("[{port: 53, protocol: UDP}]", "shop/api TCP 53", False),
    ("[{port: 53, protocol: SCTP}]", "shop/api SCTP 53", True),
    ("[{port: 53, protocol: UDP}, {port: 80}]", "shop/api TCP 80", True),
    # a protocol without a port is all of it
    ("[{protocol: UDP}]", "shop/api UDP 65535", True),
    ("[{protocol: UDP}]", "shop/api TCP 65535", False),
    ("[{protocol: UDP}]", "shop/api ICMP", False),
    ("[{}]", "shop/api TCP 7", True),
    ("[{}]", "shop/api UDP 7", False),
    ("[{}]", "shop/api 6 ICMPv6", False),
    # ranges include both ends
    ("[{port: 100, endPort: 200}]", "shop/api TCP 99", False),
    ("[{port: 100, endPort: 200}]", "shop/api TCP 100", True),
    ("[{port: 100, endPort: 200}]", "shop/api TCP 200", True),
    ("[{port: 100, endPort: 200}]", "shop/api TCP 201", False),
    ("[{port: 100, endPort: 100}]", "shop/api TCP 100", True),
    ("[{port: 1, endPort: 65535}]", "shop/api TCP 65535", True),
    ("[{port: 100, endPort: 200, protocol: UDP}]", "shop/api TCP 150", False),
    # a name is the destination's own word, for one protocol
    ("[{port: http}]", "shop/api TCP 8080", True),
    ("[{port: http}]", "shop/web TCP 80", True),
    ("[{port: http}]", "shop/web TCP 8080", False),
    ("[{port: http, protocol: UDP}]", "shop/api UDP 8080", False),
    ("[{port: http}]", "shop/db TCP 80", False),
    ("[{port: dns, protocol: UDP}]", "shop/api UDP 53", True),
    ("[{port: dns}]", "shop/api TCP 54", True),
    ("[{port: dns}]", "shop/api TCP 53", False),
]


@pytest.mark.parametrize(("ports", "destination", "admitted"), PORTS)
def test_ports(ports: str, destination: str, admitted: bool) -> None:
    rule = policy("shop/p", f"{{ingress: [{{ports: {ports}}}]}}")
    assert explain(town(rule), flow(f"bank/web > {destination}")).allowed is admitted


@pytest.mark.parametrize(("ports", "destination", "admitted"), PORTS)
def test_ports_mean_the_same_for_egress(ports: str, destination: str, admitted: bool) -> None:
    rule = policy("bank/p", f"{{egress: [{{ports: {ports}}}], policyTypes: [Egress]}}")
    assert explain(town(rule), flow(f"bank/web > {destination}")).allowed is admitted


@pytest.mark.parametrize(
    ("remote", "admitted"), [("shop/web TCP 80", True), ("internet TCP 80", False)]
)
def test_a_named_port_of_an_unknown_address_does_not_exist(remote: str, admitted: bool) -> None:
    rule = policy("bank/p", "{egress: [{ports: [{port: http}]}]}")
    assert explain(town(rule), flow(f"bank/web > {remote}")).allowed is admitted


def test_peers_and_ports_of_a_rule_must_both_match() -> None:
    rule = "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}"
    world = town(policy("shop/p", f"{{ingress: [{rule}]}}"))
    assert explain(world, flow("shop/web > shop/db TCP 5432")).allowed
    assert not explain(world, flow("shop/web > shop/db TCP 5433")).allowed
    assert not explain(world, flow("shop/api > shop/db TCP 5432")).allowed


DENY = "default deny by NetworkPolicy"

ISOLATION = [
    # nobody selects: open
    ("bank/p", "{}", "shop/web > shop/db", f"{OPEN} | {OPEN}"),
    ("shop/p", "{podSelector: {matchLabels: {app: api}}}", "shop/web > shop/db",
     f"{OPEN} | {OPEN}"),
    # types absent: Ingress always, Egress if there is an egress rule
    ("shop/p", "{}", "shop/web > shop/db", f"- | {DENY} shop/p (ingress)"),
    ("shop/p", "{}", "shop/web > bank/web", f"{OPEN} | {OPEN}"),
    ("shop/p", "{policyTypes: []}", "shop/web > bank/web", f"{OPEN} | {OPEN}"),
    ("shop/p", "{egress: [{ports: [{port: 1}]}]}", "shop/web > bank/web",
     f"{DENY} shop/p (egress) | -"),
    ("shop/p", "{egress: [{ports: [{port: 1}]}]}", "bank/web > shop/web",
     f"- | {DENY} shop/p (ingress)"),
    ("shop/p", "{egress: [{}]}", "shop/web > bank/web",
     f"NetworkPolicy shop/p egress[0] | {OPEN}"),
    # types given: just those, whatever rules there are
    ("shop/p", "{policyTypes: [Egress]}", "shop/web > bank/web", f"{DENY} shop/p (egress) | -"),
    ("shop/p", "{policyTypes: [Egress]}", "bank/web > shop/web", f"{OPEN} | {OPEN}"),
    ("shop/p", "{policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}", "shop/web > bank/web",
     f"{OPEN} | {OPEN}"),
    ("shop/p", "{policyTypes: [Egress], ingress: [{ports: [{port: 1}]}]}", "bank/web > shop/web",
     f"{OPEN} | {OPEN}"),
    ("shop/p", "{policyTypes: [Ingress, Egress]}", "shop/web > shop/db",
     f"{DENY} shop/p (egress) | -"),
    # an empty rule list denies all, one empty rule allows all
    ("shop/p", "{ingress: []}", "shop/web > shop/db", f"- | {DENY} shop/p (ingress)"),
    ("shop/p", "{ingress: [{}]}", "internet > shop/db", "- | NetworkPolicy shop/p ingress[0]"),
    ("shop/p", "{ingress: [{}]}", "internet > shop/db 6 ICMPv6",
     "- | NetworkPolicy shop/p ingress[0]"),
    # a policy is about its own namespace's workloads only
    ("bank/p", "{policyTypes: [Ingress, Egress]}", "shop/web > shop/db", f"{OPEN} | {OPEN}"),
    ("bank/p", "{policyTypes: [Ingress, Egress]}", "shop/web > bank/web",
     f"- | {DENY} bank/p (ingress)"),
    # the first rule that matches is named
    ("shop/p", "{ingress: [{ports: [{port: 1}]}, {ports: [{port: 80}]}, {}]}",
     "shop/web > shop/db", f"{OPEN} | NetworkPolicy shop/p ingress[1]"),
    # outside ends have no rules
    ("shop/p", "{}", "internet > node", "- | -"),
    ("shop/p", "{}", "internet > bank/web", f"- | {OPEN}"),
    ("shop/p", "{}", "bank/web > internet", f"{OPEN} | -"),
    # the node and its workloads: always, and said so where a policy would decide
    ("shop/p", "{policyTypes: [Ingress, Egress]}", "node > shop/web", f"- | {FROM_NODE}"),
    ("shop/p", "{policyTypes: [Ingress, Egress]}", "shop/web > node 6", f"{FROM_NODE} | -"),
    ("shop/p", "{ingress: [{}]}", "node > shop/web", f"- | {FROM_NODE}"),
    ("shop/p", "{}", "shop/web > node", f"{OPEN} | -"),
    ("shop/p", "{}", "node > bank/web ICMP", f"- | {OPEN}"),
    # a workload to itself: nobody else asks
    ("shop/p", "{policyTypes: [Ingress, Egress]}", "shop/web > shop/web", SELF),
]  # fmt: skip


@pytest.mark.parametrize(("path", "spec", "asked", "rules"), ISOLATION)
def test_isolation_and_the_rule_that_is_named(path: str, spec: str, asked: str, rules: str) -> None:
    verdict = explain(town(policy(path, spec)), flow(asked))
    assert told(verdict) == rules
    assert verdict.reason == (Reason.POLICY_DENIED if "deny" in rules else Reason.ALLOWED)


def test_policies_add_up_and_the_first_by_name_is_told() -> None:
    late = policy("shop/b", "{ingress: [{ports: [{port: 80}, {port: 81}]}]}")
    early = policy("shop/a", "{ingress: [{ports: [{port: 80}]}]}")
    for world in (town(early, late), town(late, early)):
        assert told(explain(world, flow("internet > shop/db TCP 80"))) == (
            "- | NetworkPolicy shop/a ingress[0]"
        )
        assert told(explain(world, flow("internet > shop/db TCP 81"))) == (
            "- | NetworkPolicy shop/b ingress[0]"
        )
        assert told(explain(world, flow("internet > shop/db TCP 82"))) == (
            f"- | {DENY} shop/a (ingress)"
        )


def test_default_deny_names_a_policy_that_isolates_this_direction() -> None:
    other = policy("shop/a", "{policyTypes: [Egress], egress: [{}]}")
    elsewhere = policy("shop/b", "{podSelector: {matchLabels: {app: api}}}")
    world = town(other, elsewhere, policy("shop/c", "{}"))
    assert told(explain(world, flow("internet > shop/db"))) == f"- | {DENY} shop/c (ingress)"


def test_both_directions_must_allow() -> None:
    leave = policy("shop/leave", "{egress: [{ports: [{port: 80}]}], policyTypes: [Egress]}")
    enter = policy("bank/enter", "{ingress: [{ports: [{port: 80}, {port: 81}]}]}")
    world = town(leave, enter)
    assert told(explain(world, flow("shop/web > bank/web TCP 80"))) == (
        "NetworkPolicy shop/leave egress[0] | NetworkPolicy bank/enter ingress[0]"
    )
    # egress is judged first, and ingress not at all when it denies
    assert told(explain(world, flow("shop/web > bank/web TCP 81"))) == (
        f"{DENY} shop/leave (egress) | -"
    )
    assert told(explain(world, flow("internet > bank/web TCP 82"))) == (
        f"- | {DENY} bank/enter (ingress)"
    )


@pytest.mark.parametrize("source", ["shop/web", "internet", "node"])
@pytest.mark.parametrize("family", ["", "6"])
def test_a_service_address_carries_no_packets(source: str, family: str) -> None:
    world = town(policy("shop/p", "{egress: [{}]}"))
    verdict = explain(world, flow(f"{source} > service {family}"))
    assert verdict == Verdict(Reason.NO_SERVICE_PORT)
    assert not verdict.allowed
