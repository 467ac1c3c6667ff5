"""Where workloads leave the mesh by CiliumEgressGatewayPolicy, and as whom."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.unit.compile.objects import objects, workload
from tulle import abi
from tulle.compile.egress import Egress, egress_parts
from tulle.compile.parts import DERIVED, flat, packed, unpacked
from tulle.model.cilium import CiliumEgressGatewayPolicy
from tulle.model.kubernetes import Namespace
from tulle.model.world import IPAddress, Node, Workload, World

LIMITS = dict.fromkeys(DERIVED, 1000)
POD_RANGE = ip_network("10.1.0.0/24")


def node(name: str, *addresses: str, **labels: str) -> Node:
    found = tuple(map(ip_address, addresses))
    return Node(name, found, labels=labels, pod_cidrs=(POD_RANGE,), underlay=found[-1])


HERE = node("here", "fe80::1", "10.1.0.1", "192.0.2.1", role="worker")
EXIT = node("exit", "192.0.2.7", "2001:db8::7", "192.0.2.2", role="exit")
SPARE = node("spare", "192.0.2.3", role="exit")
WEB = workload("web-2", "10.0.0.2", "fd00::2", app="web")
DB = workload("db-3", app="db")
REMOTE = replace(workload("web-4", app="web"), node="exit", ifindex=0)


def policy(
    name: str = "out",
    selector: str = "podSelector: {matchLabels: {app: web}}",
    to: str = "0.0.0.0/0, '::/0'",
    without: str = "",
    gateway: str = "nodeSelector: {matchLabels: {role: exit}}",
) -> str:
    excluded = f", excludedCIDRs: [{without}]" if without else ""
    return f"""
---
apiVersion: cilium.io/v2
kind: CiliumEgressGatewayPolicy
metadata: {{name: {name}}}
spec: {{selectors: [{{{selector}}}], destinationCIDRs: [{to}]{excluded},
  egressGateway: {{{gateway}}}}}
"""


def world(*texts: str, here: Node = HERE, others: tuple[Node, ...] = (EXIT, SPARE)) -> World:
    found = [
        item for item in objects("".join(texts)) if isinstance(item, CiliumEgressGatewayPolicy)
    ]
    spaces = [item for item in objects("".join(texts)) if isinstance(item, Namespace)]
    return World(
        node=here,
        nodes={item.name: item for item in others},
        namespaces={item.metadata.name: item for item in spaces},
        workloads={item.key: item for item in (WEB, DB)},
        remote={"exit": {REMOTE.key: REMOTE}},
        egress_gateways={item.metadata.name: item for item in found},
    )


def compiled(of: World) -> Egress:
    return egress_parts(of, LIMITS, Egress())


def leaving(egress: Egress, source: IPAddress, destination: str) -> str:
    """What the kernel finds: `address via node`, `gone`, or nothing."""
    to = ip_address(destination)
    best, found = -1, ""
    for raw, value in flat(egress.parts)["egress_gateway"].items():
        key, row = abi.EgressKey.unpack(raw), abi.EgressGateway.unpack(value)
        length = key.prefixlen - 128
        shift = 128 - length
        numbers = (int.from_bytes(item, "big") >> shift for item in (key.dst, packed(to)))
        if unpacked(key.src) == source and len(set(numbers)) == 1 and length > best:
            best, found = length, _words(row)
    return found


def _words(row: abi.EgressGateway) -> str:
    if row.gone:
        return "gone"
    if row.address == bytes(16):
        return ""
    via = f" via {unpacked(row.node)}" if row.node != bytes(16) else ""
    return f"{unpacked(row.address)}{via}"


FOUR, SIX = WEB.addresses
BY_EXIT = "192.0.2.2 via 192.0.2.2"


def test_the_first_node_by_name_is_the_gateway_with_its_own_address_of_the_family() -> None:
    found = compiled(world(policy()))
    assert leaving(found, FOUR, "8.8.8.8") == BY_EXIT
    assert leaving(found, SIX, "2001:4860::8") == "2001:db8::7 via 192.0.2.2"
    assert leaving(found, DB.addresses[0], "8.8.8.8") == ""
    assert not found.refusals


def test_only_what_it_names_leaves_by_it() -> None:
    found = compiled(world(policy(to="8.8.0.0/16", without="8.8.4.0/24")))
    assert leaving(found, FOUR, "8.8.8.8") == BY_EXIT
    assert leaving(found, FOUR, "8.8.4.4") == leaving(found, FOUR, "9.9.9.9") == ""


def test_an_address_of_the_gateway_may_be_named() -> None:
    select = "nodeSelector: {matchLabels: {role: exit}}"
    first = compiled(world(policy(gateway=f"{select}, egressIP: 192.0.2.7")))
    assert leaving(first, FOUR, "8.8.8.8") == "192.0.2.7 via 192.0.2.2"
    spare = compiled(world(policy(gateway=f"{select}, egressIP: 192.0.2.3")))
    assert leaving(spare, FOUR, "8.8.8.8") == "192.0.2.3 via 192.0.2.3"  # the node that has it


@pytest.mark.parametrize(
    ("gateway", "reason"),
    [
        (
            "nodeSelector: {matchLabels: {role: nobody}}",
            "spec.egressGateway.nodeSelector matches no node",
        ),
        (
            "nodeSelector: {matchLabels: {role: exit}}, egressIP: 192.0.2.99",
            "spec.egressGateway.egressIP: 192.0.2.99 belongs to no node that nodeSelector matches",
        ),
    ],
)
def test_without_a_gateway_nobody_leaves(gateway: str, reason: str) -> None:
    found = compiled(world(policy(gateway=gateway)))
    assert leaving(found, FOUR, "8.8.8.8") == leaving(found, SIX, "2001:4860::8") == "gone"
    assert [(str(item.ref), item.reason) for item in found.refusals] == [
        ("CiliumEgressGatewayPolicy shop/out", f"{reason}: what it selects is dropped")
    ]


def test_a_family_that_the_gateway_has_not_does_not_leave() -> None:
    found = compiled(world(policy(), others=(SPARE,)))
    assert leaving(found, FOUR, "8.8.8.8") == "192.0.2.3 via 192.0.2.3"
    assert leaving(found, SIX, "2001:4860::8") == "gone"


def test_a_gateway_without_uplink_cannot_be_reached() -> None:
    found = compiled(world(policy(), others=(replace(EXIT, underlay=None),)))
    assert leaving(found, FOUR, "8.8.8.8") == "gone"


def test_this_node_may_be_the_gateway_of_its_own_and_of_others() -> None:
    found = compiled(world(policy(gateway="nodeSelector: {matchLabels: {role: worker}}")))
    assert leaving(found, FOUR, "8.8.8.8") == "192.0.2.1"
    assert leaving(found, REMOTE.addresses[0], "8.8.8.8") == "192.0.2.1"


def test_without_an_uplink_address_of_the_family_it_is_one_that_others_know() -> None:
    here = replace(HERE, underlay=None)
    found = compiled(
        world(policy(gateway="nodeSelector: {matchLabels: {role: worker}}"), here=here)
    )
    assert leaving(found, FOUR, "8.8.8.8") == "192.0.2.1"  # no link-local, none of the pods' range


def test_other_nodes_workloads_have_rows_at_their_gateway_only() -> None:
    assert leaving(compiled(world(policy())), REMOTE.addresses[0], "8.8.8.8") == ""


# --- several policies ----------------------------------------------------------------------------

TO_HERE = "nodeSelector: {matchLabels: {role: worker}}"


def test_the_first_by_name_decides_even_if_a_later_one_names_less() -> None:
    wide = policy("a", to="8.0.0.0/8")
    narrow = policy("b", to="8.8.8.0/24", gateway=TO_HERE)
    found = compiled(world(narrow, wide))
    assert leaving(found, FOUR, "8.8.8.8") == BY_EXIT
    assert leaving(found, FOUR, "8.1.1.1") == BY_EXIT
    found = compiled(
        world(policy("a", to="8.8.8.0/24", gateway=TO_HERE), policy("b", to="8.0.0.0/8"))
    )
    assert leaving(found, FOUR, "8.8.8.8") == "192.0.2.1"
    assert leaving(found, FOUR, "8.1.1.1") == BY_EXIT


def test_what_one_excludes_is_the_next_ones() -> None:
    first = policy("a", to="8.0.0.0/8", without="8.8.0.0/16, 8.9.0.0/16")
    found = compiled(world(first, policy("b", to="8.8.8.0/24", gateway=TO_HERE)))
    assert leaving(found, FOUR, "8.8.8.8") == "192.0.2.1"
    assert leaving(found, FOUR, "8.8.1.1") == leaving(found, FOUR, "8.9.9.9") == ""
    assert leaving(found, FOUR, "8.1.1.1") == BY_EXIT


def test_a_prefix_that_changes_nothing_has_no_row() -> None:
    found = compiled(world(policy("a", to="8.0.0.0/8, 8.8.0.0/16"), policy("b", to="8.8.8.0/24")))
    assert len(flat(found.parts)["egress_gateway"]) == 1


# --- whom it selects -----------------------------------------------------------------------------

SHOP = "---\n{kind: Namespace, metadata: {name: shop, labels: {team: a}}}\n"


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("podSelector: {matchLabels: {app: web}}", True),
        ("podSelector: {matchLabels: {'k8s:app': web}}", True),
        ("podSelector: {matchLabels: {io.kubernetes.pod.namespace: shop}}", True),
        ("podSelector: {matchLabels: {app: db}}", False),
        ("namespaceSelector: {matchLabels: {team: a}}", True),
        ("namespaceSelector: {matchLabels: {team: b}}", False),
        (
            "podSelector: {matchLabels: {app: web}}, namespaceSelector: {matchLabels: {team: b}}",
            False,
        ),
        ("podSelector: {}, nodeSelector: {matchLabels: {role: worker}}", True),
        ("podSelector: {}, nodeSelector: {matchLabels: {role: exit}}", False),
        ("podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: web}}", True),
    ],
)
def test_selectors(selector: str, selected: bool) -> None:
    found = compiled(world(SHOP, policy(selector=selector)))
    assert bool(leaving(found, FOUR, "8.8.8.8")) is selected


# --- pass after pass -----------------------------------------------------------------------------


def test_nothing_new_is_nothing_done() -> None:
    of = world(policy(gateway=TO_HERE))
    first = compiled(of)
    assert egress_parts(replace(of), LIMITS, first) is first
    nothing = egress_parts(world(), LIMITS, first)
    assert not nothing.parts and egress_parts(world(), LIMITS, nothing) is nothing


def test_only_the_node_whose_workloads_changed_is_another_part() -> None:
    of = world(policy(gateway=TO_HERE))
    first = compiled(of)
    moved: dict[tuple[str, str], Workload] = {WEB.key: replace(WEB, addresses=(FOUR,)), DB.key: DB}
    changed = replace(of, workloads=moved)
    second = egress_parts(changed, LIMITS, first)
    assert second.parts["egress_gateway", "exit"] is first.parts["egress_gateway", "exit"]
    assert second.parts == compiled(changed).parts != first.parts


@pytest.mark.parametrize(
    "after",
    [
        world(policy(gateway=TO_HERE), SHOP),
        world(policy()),
        world(policy(), others=(SPARE,)),
        world(policy(gateway=TO_HERE), here=replace(HERE, labels={})),
    ],
)
def test_what_is_remembered_never_changes_the_outcome(after: World) -> None:
    first = compiled(world(policy(gateway=TO_HERE)))
    assert egress_parts(after, LIMITS, first).parts == compiled(after).parts


def test_who_finds_no_room_does_not_leave_at_all() -> None:
    of = world(policy(selector="podSelector: {}", to="8.0.0.0/8, 9.0.0.0/8", gateway=TO_HERE))
    found = egress_parts(of, {**LIMITS, "egress_gateway": 3}, Egress())
    assert len(flat(found.parts)["egress_gateway"]) == 3
    assert leaving(found, FOUR, "8.8.8.8") == "192.0.2.1"
    assert leaving(found, DB.addresses[0], "8.8.8.8") == "gone"
    assert leaving(found, REMOTE.addresses[0], "8.8.8.8") == ""  # its gateway drops what it sends
    assert [f"{item.ref}: {item.reason}" for item in found.refusals] == [
        "Pod shop/db-3: map egress_gateway is full (limit 3): it cannot leave the mesh",
        "Pod shop/web-4: map egress_gateway is full (limit 3): it cannot leave the mesh",
    ]
    assert egress_parts(of, LIMITS, found).parts == compiled(of).parts
    assert not egress_parts(world(), LIMITS, found).parts
