"""Rule sets as xDS: what is there, whom it is from, and that nothing is made twice."""

from __future__ import annotations

from typing import Any

from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import policy, town
from tulle import xds
from tulle.abi import Mark
from tulle.compile import compile_world
from tulle.compile.ids import Ids
from tulle.compile.proxy.policy import policy_image
from tulle.compile.rule_sets import RuleSet
from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import RULES_ADDRESSES

CNP = "CiliumNetworkPolicy"
TLS = (
    "{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], "
    "serverNames: [a.test]}]}]}"
)


def rule_sets(*specs: str) -> dict[int, RuleSet]:
    items = [policy(f"shop/p{number}", spec, CNP) for number, spec in enumerate(specs)]
    return dict(compile_world(town(*items), Ids()).memo.isolation.rule_sets)


def test_without_rules_there_is_nothing() -> None:
    assert policy_image({}).image == {"cluster": {}, "listener": {}, "route": {}}


def test_a_listener_where_the_kernel_looks_for_it() -> None:
    ((number, rules),) = rule_sets(ruled("{path: /a}"), ruled("{path: /b}")).items()
    image = policy_image({number: rules}).image
    assert set(image["cluster"]) == {"policy"}
    assert set(image["listener"]) == set(image["route"]) == {f"policy/{number}"}
    resource = image["listener"][f"policy/{number}"]
    assert resource.origins == (ObjectRef(CNP, "shop", "p0"), ObjectRef(CNP, "shop", "p1"))
    made: Any = xds.message("envoy.config.listener.v3.Listener").FromString(resource.body)
    bound = [made.address, *(item.address for item in made.additional_addresses)]
    assert [(item.socket_address.address, item.socket_address.port_value) for item in bound] == [
        (str(address), number) for address in RULES_ADDRESSES
    ]
    assert made.transparent.value
    assert Mark.PROXY | number in [option.int_value for option in made.socket_options]


def test_names_alone_need_no_routes() -> None:
    found = rule_sets(TLS)
    image = policy_image(found).image
    assert len(image["listener"]) == 1 and not image["route"]


def test_only_what_changed_is_made_anew() -> None:
    first = policy_image(rule_sets(ruled("{path: /a}"), TLS))
    assert policy_image(rule_sets(ruled("{path: /a}"), TLS), first) is first
    second = policy_image(rule_sets(ruled("{path: /b}"), TLS), first)
    assert second.image["listener"] == first.image["listener"]
    changed = [
        name
        for name, resource in second.image["route"].items()
        if resource is not first.image["route"][name]
    ]
    assert len(changed) == 1
    same = [number for number, item in second.enforced.items() if item is first.enforced[number]]
    assert len(same) == len(second.enforced) - 1
