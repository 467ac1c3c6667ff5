from dataclasses import replace

import pytest

from tests.hostile.mutations import mutations
from tests.unit.compile.translate.samples import PLACES, world
from tulle.compile.translate import policies_of
from tulle.edges.manifests.parse import parse
from tulle.model.world import World

NETWORK = "{kind: NetworkPolicy, metadata: {name: %s, namespace: shop}, spec: {podSelector: {}}}"
CILIUM = """
{kind: CiliumNetworkPolicy, metadata: {name: p, namespace: shop},
 spec: {endpointSelector: {}, ingress: [{fromCIDRSet: [{cidrGroupRef: offices}]}]}}
"""
OFFICES = "{kind: CiliumCIDRGroup, metadata: {name: offices}, spec: {externalCIDRs: [10.0.0.0/8]}}"
OTHERS = "{kind: CiliumCIDRGroup, metadata: {name: others}, spec: {externalCIDRs: [10.0.0.0/8]}}"


def joined(*texts: str) -> World:
    return world("\n---\n".join(texts))


def test_policies_are_in_order_of_their_names() -> None:
    place = joined(NETWORK % "b", CILIUM, NETWORK % "a")
    assert [str(item.ref) for item in policies_of(place).policies] == [
        "CiliumNetworkPolicy shop/p",
        "NetworkPolicy shop/a",
        "NetworkPolicy shop/b",
    ]


def test_what_is_missing_is_said_and_the_policy_isolates() -> None:
    found = policies_of(joined(CILIUM))
    assert [str(item.ref) for item in found.refusals] == ["CiliumNetworkPolicy shop/p"]
    assert found.refusals[0].reason == (
        "there is no CiliumCIDRGroup offices: "
        "nobody is meant by it, the rest of the policy is in force"
    )
    (policy,) = found.policies
    assert policy.isolates
    assert [item.peers for item in policy.rules] == [()]


def test_an_object_is_translated_once() -> None:
    place = joined(NETWORK % "a", NETWORK % "b", CILIUM, OFFICES)
    first = policies_of(place)
    assert policies_of(replace(place, namespaces={}), first) is first
    same = policies_of(replace(place, policies=dict(place.policies)), first)
    assert all(a is b for a, b in zip(first.policies, same.policies, strict=True))
    changed = replace(place, policies={**place.policies, **joined(NETWORK % "b").policies})
    again = policies_of(changed, first)
    assert again.policies == first.policies
    assert again.policies[1] is first.policies[1]


def test_a_change_of_what_a_policy_names_reaches_it() -> None:
    place = joined(NETWORK % "a", CILIUM)
    first = policies_of(place)
    second = policies_of(replace(place, cidr_groups=joined(OFFICES).cidr_groups), first)
    assert not second.refusals
    assert second.policies[0] != first.policies[0]
    assert second.policies[1] is first.policies[1]


def test_a_change_beside_what_a_policy_names_leaves_it_the_same_value() -> None:
    place = joined(CILIUM, OFFICES)
    first = policies_of(place)
    second = policies_of(replace(place, cidr_groups=joined(OFFICES, OTHERS).cidr_groups), first)
    assert second.policies[0] is first.policies[0]


def test_a_policy_that_is_gone_is_forgotten() -> None:
    first = policies_of(joined(NETWORK % "a", CILIUM))
    second = policies_of(joined(NETWORK % "a"), first)
    assert [item.ref.kind for item in second.policies] == ["NetworkPolicy"]
    assert not second.refusals
    assert len(second.known) == 1


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_accepted_is_translated(seed: int) -> None:
    accepted = 0
    offices = joined(OFFICES).cidr_groups
    for data in mutations(seed, 500):
        for placed in parse(data, "f").objects:
            metadata = placed.obj.metadata
            key = (metadata.namespace, metadata.name) if metadata.namespace else metadata.name
            place = replace(World(), **{PLACES[placed.obj.kind]: {key: placed.obj}})
            found = policies_of(replace(place, cidr_groups=offices))
            assert found == policies_of(replace(place, cidr_groups=offices))
            accepted += 1
    assert accepted > 100
