"""The shrinker finds the one thing that matters in a large world."""

from ipaddress import ip_address
from random import Random

from tests.unit.compile.shrinking import render, shrink
from tests.unit.compile.worlds import random_world
from tulle.model.kubernetes import IPBlock
from tulle.model.verdict import Flow
from tulle.model.world import World


def blocks(world: World) -> list[IPBlock]:
    return [
        peer.ip_block
        for policy in world.policies.values()
        for rule in policy.spec.ingress
        for peer in rule.from_
        if peer.ip_block
    ]


def with_holes(world: World) -> bool:
    return bool(world.workloads) and any(block.except_ for block in blocks(world))


def test_everything_else_is_taken_away() -> None:
    rng = Random(2)
    large = next(world for world in iter(lambda: random_world(rng), None) if with_holes(world))
    small = shrink(large, with_holes)
    assert len(blocks(large)) > 1 or len(large.workloads) > 1
    (policy,) = small.policies.values()
    (rule,) = policy.spec.ingress
    (peer,) = rule.from_
    assert not policy.spec.egress
    assert not rule.ports
    assert peer.ip_block is not None
    assert len(peer.ip_block.except_) == 1
    (workload,) = small.workloads.values()
    assert not workload.labels
    assert not workload.addresses
    assert not small.namespaces
    assert not small.services
    assert not small.node.addresses

    shown = render(small, Flow(ip_address("fd00::1"), ip_address("fd00::2"), "TCP", 80))
    assert "flow: fd00::1 -> fd00::2 TCP 80" in shown
    assert peer.ip_block.except_[0] in shown
    assert len(shown.splitlines()) < 20
