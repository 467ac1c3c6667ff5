"""Policy sets: exact port ranges, and the first rule that matches gives its name."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.compile.evaluate import evaluate
from tests.unit.compile.objects import workload, world_of
from tulle.compile import Ids, compile_world
from tulle.compile.policies import policy_types, port_prefixes, selecting
from tulle.model.kubernetes import ContainerPort
from tulle.model.verdict import Flow
from tulle.model.world import Node

WEB = workload("web-1", app="web", tier="front")
DB = workload("db-2", app="db", ports=(ContainerPort(5432, "pg"),))
FROM_WEB = "from: [{podSelector: {matchLabels: {app: web}}}]"
FROM_FRONT = "from: [{podSelector: {matchLabels: {tier: front}}}]"


def policy(name: str, spec: str, selector: str = "{matchLabels: {app: db}}") -> str:
    meta = f"metadata: {{name: {name}}}"
    return f"---\n{{kind: NetworkPolicy, {meta}, spec: {{podSelector: {selector}, {spec}}}}}\n"


def ruling(text: str, port: int = 5432, protocol: str = "TCP", src: str = "10.0.0.1") -> str:
    """The rule that decides, of egress first, on a connection from web-1 to db-2."""
    result = compile_world(world_of(WEB, DB, text=text), Ids())
    flow = Flow(ip_address(src), DB.addresses[0], protocol, port)
    _, egress, ingress = evaluate(result.image, flow)
    return str(result.rules[ingress or egress])


def named(position: str) -> str:
    return f"NetworkPolicy shop/{position}"


DEFAULT = "default deny by NetworkPolicy shop/"

# --- ports ---------------------------------------------------------------------------------------

ranges = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(sorted).map(tuple)


def covered(first: int, last: int) -> list[int]:
    return [
        number
        for port, bits in port_prefixes(first, last)
        for number in range(port, port + (1 << (16 - bits)))
    ]


@given(ranges)
@example((1, 65535))
@example((0, 65535))
@example((65535, 65535))
def test_prefixes_cover_a_range_exactly_and_once(ends: tuple[int, int]) -> None:
    first, last = ends
    assert covered(first, last) == list(range(first, last + 1))


@given(ranges)
def test_prefixes_are_aligned_and_few(ends: tuple[int, int]) -> None:
    found = list(port_prefixes(*ends))
    assert all(port % (1 << (16 - bits)) == 0 for port, bits in found)
    # a block cut into aligned ones needs at most two of each size
    assert len(found) <= 2 * 15
    assert all(sum(bits == other for _, other in found) <= 2 for _, bits in found)


# --- whom and which way --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("ingress: []", {"ingress"}),
        ("policyTypes: []", {"ingress"}),
        ("egress: [{}]", {"ingress", "egress"}),
        ("egress: []", {"ingress"}),
        ("policyTypes: [Egress]", {"egress"}),
        ("policyTypes: [Ingress], egress: [{}]", {"ingress"}),
        ("policyTypes: [Egress, Ingress]", {"ingress", "egress"}),
    ],
)
def test_directions_that_a_policy_isolates(spec: str, expected: set[str]) -> None:
    (found,) = world_of(text=policy("p", spec)).policies.values()
    assert policy_types(found) == expected


def test_a_workload_is_selected_by_policies_of_its_namespace_in_order_of_name() -> None:
    foreign = policy("a", "ingress: []").replace("{name:", "{namespace: other, name:")
    text = (
        policy("c", "ingress: []")
        + policy("b", "policyTypes: [Egress]")
        + policy("a", "ingress: []", "{}")
        + foreign
        + policy("d", "ingress: []", "{matchLabels: {app: web}}")
    )
    world = world_of(WEB, DB, text=text)
    assert [item.metadata.name for item in selecting(world, DB, "ingress")] == ["a", "c"]
    assert [item.metadata.name for item in selecting(world, DB, "egress")] == ["b"]
    assert selecting(world, WEB, "egress") == ()


# --- which rule ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "decides"),
    [
        ("[]", f"{DEFAULT}p (ingress)"),
        (f"[{{{FROM_WEB}}}]", named("p ingress[0]")),
        (f"[{{{FROM_WEB}, ports: [{{port: 1}}]}}]", f"{DEFAULT}p (ingress)"),
        (f"[{{{FROM_WEB}, ports: [{{port: 1}}]}}, {{{FROM_FRONT}}}]", named("p ingress[1]")),
        # the same peer twice, the wider entry first: the narrower one must not hide it
        (f"[{{{FROM_WEB}}}, {{{FROM_WEB}, ports: [{{port: 5432}}]}}]", named("p ingress[0]")),
        (f"[{{{FROM_WEB}, ports: [{{port: 5432}}]}}, {{{FROM_WEB}}}]", named("p ingress[0]")),
        (
            f"[{{{FROM_WEB}, ports: [{{port: 5000, endPort: 6000}}]}}, "
            f"{{{FROM_WEB}, ports: [{{port: 5432}}]}}]",
            named("p ingress[0]"),
        ),
        # everybody and the peer itself
        (f"[{{}}, {{{FROM_WEB}, ports: [{{port: 5432}}]}}]", named("p ingress[0]")),
        (f"[{{{FROM_WEB}, ports: [{{port: 5432}}]}}, {{}}]", named("p ingress[0]")),
        (f"[{{ports: [{{port: 1}}]}}, {{{FROM_WEB}}}]", named("p ingress[1]")),
        # a named port is the selected workload's own
        (f"[{{{FROM_WEB}, ports: [{{port: pg}}]}}]", named("p ingress[0]")),
        (f"[{{{FROM_WEB}, ports: [{{port: pg, protocol: UDP}}]}}]", f"{DEFAULT}p (ingress)"),
    ],
)
def test_the_first_rule_that_matches_decides(rules: str, decides: str) -> None:
    assert ruling(policy("p", f"ingress: {rules}")) == decides


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_policies_add_up_in_order_of_name(names: tuple[str, str]) -> None:
    texts = {
        "a": policy("a", f"ingress: [{{{FROM_WEB}, ports: [{{port: 1}}]}}]"),
        "b": policy("b", f"ingress: [{{{FROM_WEB}, ports: [{{port: 1, endPort: 2}}]}}]"),
    }
    text = "".join(texts[name] for name in names)
    decided = [ruling(text, port) for port in (1, 2, 3)]
    assert decided == [named("a ingress[0]"), named("b ingress[0]"), f"{DEFAULT}a (ingress)"]


@pytest.mark.parametrize(
    ("ports", "protocol", "allowed"),
    [
        ("", "TCP", True),
        ("", "UDP", True),
        ("", "ICMP", True),
        (", ports: [{protocol: TCP}]", "TCP", True),
        (", ports: [{protocol: TCP}]", "UDP", False),
        (", ports: [{protocol: TCP}]", "ICMP", False),  # no port ever names ICMP
        (", ports: [{port: 5432, protocol: UDP}]", "UDP", True),
        (", ports: [{port: 5432, protocol: UDP}]", "TCP", False),
    ],
)
def test_ports_choose_a_protocol(ports: str, protocol: str, allowed: bool) -> None:
    rule = ruling(policy("p", f"ingress: [{{{FROM_WEB}{ports}}}]"), protocol=protocol)
    assert rule == (named("p ingress[0]") if allowed else f"{DEFAULT}p (ingress)")


def test_egress_to_everybody_on_a_named_port_is_each_destination_s_number() -> None:
    spec = "policyTypes: [Egress], egress: [{ports: [{port: pg}, {port: 53}]}]"
    text = policy("p", spec, "{matchLabels: {app: web}}")
    decided = [ruling(text, port) for port in (5432, 53, 80)]
    passed = "no policy selects the workload"  # db-2's ingress, after egress let it through
    assert decided == [passed, passed, f"{DEFAULT}p (egress)"]


def test_a_node_reaches_its_own_workloads_whatever_the_policy() -> None:
    node = Node(addresses=(ip_address("192.0.2.1"),))
    world = world_of(DB, text=policy("p", "ingress: []"), node=node)
    result = compile_world(world, Ids())
    flow = Flow(node.addresses[0], DB.addresses[0], "TCP", 1)
    _, _, rule = evaluate(result.image, flow)
    assert str(result.rules[rule]) == "a node always reaches its own workloads"
