"""Which policies select whom, and which of their rules decides."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.unit.compile.evaluate import evaluate
from tests.unit.compile.objects import workload, world_of
from tulle.compile import Ids, compile_world
from tulle.compile.parts import flat
from tulle.compile.policies import PolicyIndex
from tulle.compile.translate import policies_of
from tulle.model.kubernetes import ContainerPort
from tulle.model.verdict import Flow
from tulle.model.world import Node, Workload

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
    found = evaluate(flat(result.image), flow)
    return str(result.rules[found.ingress or found.egress])


def named(position: str) -> str:
    return f"NetworkPolicy shop/{position}"


DEFAULT = "default deny by NetworkPolicy shop/"

# --- whom and which way --------------------------------------------------------------------------


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
    index = PolicyIndex(policies_of(world).policies)

    def names(workload: Workload, direction: str) -> list[str]:
        return [item.policy.ref.name for item in index.of_workload(world, workload)[direction]]

    assert (names(DB, "ingress"), names(DB, "egress")) == (["a", "c"], ["b"])
    assert (names(WEB, "ingress"), names(WEB, "egress")) == (["a", "d"], [])


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
    found = evaluate(flat(result.image), flow)
    assert str(result.rules[found.ingress]) == "a node always reaches its own workloads"


def test_a_policy_that_stands_is_read_once() -> None:
    world = world_of(text=policy("a", "ingress: []") + policy("b", "ingress: []"))
    before = policies_of(world)
    index = PolicyIndex(before.policies)
    changed = replace(world, policies={**world.policies, **world_of(text=CHANGED).policies})
    after = PolicyIndex(policies_of(changed, before).policies, index)
    assert after.parsed[0] is index.parsed[0] and after.parsed[1] is not index.parsed[1]
    assert after.distinctions is index.distinctions  # nobody is told apart who was not before
    assert after.matching is index.matching


CHANGED = policy("b", "ingress: [{ports: [{port: 1}]}]")
