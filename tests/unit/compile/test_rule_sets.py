"""Rule sets: one for what holds together, with a number that stands for the rules' names."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.compile.explain.town import policy, service, town
from tulle import abi
from tulle.compile import Compiled, compile_world
from tulle.compile.capacity import LIMITS, LISTENERS
from tulle.compile.ids import Ids
from tulle.compile.parts import flat
from tulle.model.world import Settings, World

CNP = "CiliumNetworkPolicy"


def reading(
    name: str,
    path: str,
    peer: str = "{}",
    audit: str = "false",
    *,
    of: str = "shop",
    port: int = 80,
) -> object:
    text = (
        f"{{endpointSelector: {{}}, ingress: [{{fromEndpoints: [{peer}], toPorts: [{{ports: "
        f"[{{port: '{port}', protocol: TCP}}], rules: {{http: [{{path: {path}}}]}}}}]}}]}}"
    )
    return policy(f"{of}/{name}", text, CNP, audit=audit)


def compiled(*policies: object, before: Compiled | None = None) -> Compiled:
    return compile_world(town(*policies), before.ids if before else Ids(), before=before)


def in_entries(result: Compiled) -> set[int]:
    entries = flat(result.image)["policy"].values()
    return {abi.PolicyEntry.unpack(raw).proxy for raw in entries} - {0}


def paths(result: Compiled) -> dict[int, list[str]]:
    return {
        number: [rule.path for part in item.parts for rule in part.layer7.http]
        for number, item in result.memo.isolation.rule_sets.items()
    }


def test_rules_that_hold_for_one_peer_and_port_are_one_set() -> None:
    result = compiled(
        reading("a", "/a"),
        reading("b", "/b"),
        reading("c", "/c", "{matchLabels: {app: api}}"),
    )
    assert sorted(paths(result).values()) == [["/a", "/b"], ["/a", "/b", "/c"]]
    assert in_entries(result) == set(paths(result))
    assert all(1024 <= number < 1 << 16 for number in paths(result))


def test_a_number_stays_while_what_the_rules_say_changes() -> None:
    first = compiled(reading("a", "/a"))
    second = compiled(reading("a", "/other"), before=first)
    assert paths(first).keys() == paths(second).keys()
    assert list(paths(second).values()) == [["/other"]]
    assert flat(first.image)["policy"] == flat(second.image)["policy"]
    third = compiled(reading("a", "/other"), reading("b", "/b"), before=second)
    assert paths(third).keys().isdisjoint(paths(second))


def test_an_unchanged_world_keeps_its_numbers() -> None:
    world = town(reading("a", "/a"))
    first = compile_world(world, Ids())
    again = compile_world(world, first.ids, before=first)
    assert again.ids is first.ids
    moved = replace(world, workloads=dict(world.workloads))
    assert paths(compile_world(moved, again.ids, before=again)) == paths(first)
    other = World(**{name: getattr(world, name) for name in world.__slots__})
    assert paths(compile_world(other, first.ids)) == paths(first)


def test_a_set_of_audited_rules_is_another() -> None:
    enforced, audited = compiled(reading("a", "/a")), compiled(reading("a", "/a", audit="true"))
    (first,), (second,) = (
        result.memo.isolation.rule_sets.values() for result in (enforced, audited)
    )
    assert (first.audit, second.audit) == (False, True)
    assert first.name != second.name


def test_what_the_proxy_has_no_room_for_is_denied_by_name() -> None:
    policies = (reading("a", "/a"), reading("b", "/b", "{matchLabels: {app: api}}"))
    result = compile_world(town(*policies), Ids(), {**LIMITS, LISTENERS: 1})
    assert not paths(result) and not in_entries(result)
    reasons = {item.reason.partition(":")[0] for item in result.refusals}
    assert reasons == {"the node's proxy is full (limit 1 sets of layer 7 rules)"}


def test_who_asks_for_most_goes_without_where_there_is_not_room_for_all() -> None:
    """Whatever the names: one namespace's policies take nothing from another's that were there."""
    for greedy, modest in (("bank", "park"), ("park", "bank")):
        many = [reading(f"p{n}", "/a", of=greedy, port=80 + n) for n in range(3)]
        world = town(*many, reading("own", "/own", of=modest))
        result = compile_world(world, Ids(), {**LIMITS, LISTENERS: 3})
        assert list(paths(result).values()) == [["/own"]]
        assert {item.ref.namespace for item in result.refusals} == {greedy}
        again = compile_world(world, result.ids, {**LIMITS, LISTENERS: 3}, before=result)
        assert (paths(again), again.refusals) == (paths(result), result.refusals)


def streaming(*policies: object, before: Compiled | None = None) -> Compiled:
    """On a node that judges at sockets."""
    world = replace(town(*policies), settings=Settings(stream=True))
    return compile_world(world, before.ids if before else Ids(), before=before)


def kernel_entries(result: Compiled) -> set[tuple[int, int]]:
    entries = map(abi.PolicyEntry.unpack, flat(result.image)["policy"].values())
    return {(entry.proxy, entry.flags & abi.PolicyFlag.HELD) for entry in entries} - {(0, 0)}


def test_what_the_kernel_can_hold_is_no_listeners_matter() -> None:
    result = streaming(reading("a", "/a"))
    ((number, item),) = result.memo.isolation.rule_sets.items()
    assert item.held and kernel_entries(result) == {(number, abi.PolicyFlag.HELD)}
    assert not result.memo.isolation.listened and result.steered is None
    rows = flat(result.image)["http_rules"]
    assert rows == item.held.rows(number)["http_rules"] and len(rows) == 2
    assert item.rules == ("CiliumNetworkPolicy shop/a ingress[0].toPorts[0].rules.http[0]",)


def test_a_held_set_is_never_edited() -> None:
    before = streaming(reading("a", "/a"))
    after = streaming(reading("a", "/b"), before=before)
    old, new = (flat(item.image)["http_rules"] for item in (before, after))
    assert not old.keys() & new.keys()
    assert kernel_entries(before) != kernel_entries(after)
    again = streaming(reading("a", "/b"), reading("b", "/c"), before=after)
    assert again.image.keys() != after.image.keys()


def test_rules_that_do_not_fit_into_the_kernel_deny_by_name() -> None:
    result = compile_world(
        replace(town(reading("a", "/a")), settings=Settings(stream=True)),
        Ids(),
        {**LIMITS, "http_rules": 1},
    )
    (refusal,) = {item.reason for item in result.refusals}
    assert "map http_rules is full (limit 1)" in refusal
    assert not flat(result.image)["http_rules"] and not kernel_entries(result)


def test_ports_that_speak_something_else_are_the_proxys() -> None:
    """Of one policy on several ports, only those, and only of workloads that a Service selects."""
    spec = (
        "{endpointSelector: {matchLabels: {app: api}}, ingress: [{toPorts: [{ports: [{port: '80', "
        "endPort: 90, protocol: TCP}], rules: {http: [{path: /a}]}}]}]}"
    )
    ports = ("{port: 80, name: grpc}", "{port: 85, name: https}", "{port: 99, name: grpc-x}")
    result = streaming(policy("shop/a", spec, CNP), service("shop/s", "{app: api}", *ports))
    held, unheld = kernel_entries(result)
    if not held[1]:
        held, unheld = unheld, held
    assert unheld[1] == 0 and [*result.memo.isolation.listened] == [unheld[0]]
    entries = {
        (key.port, key.prefixlen): abi.PolicyEntry.unpack(raw).proxy
        for packed, raw in flat(result.image)["policy"].items()
        if (key := abi.PolicyKey.unpack(packed)).set == result.memo.isolation.sets["shop", "api"][0]
    }

    def number(port: int) -> int:
        """Of the longest prefix."""
        covering = {
            bits: proxy
            for (start, bits), proxy in entries.items()
            if start >> (16 - max(bits - whole, 0)) == port >> (16 - max(bits - whole, 0))
        }
        return covering[max(covering)]

    whole = abi.PolicyPrefix.PORT
    assert {port: number(port) for port in (79, 80, 81, 84, 85, 86, 90, 91, 99)} == {
        79: 0,
        80: unheld[0],
        81: held[0],
        84: held[0],
        85: unheld[0],
        86: held[0],
        90: held[0],
        91: 0,
        99: 0,
    }
