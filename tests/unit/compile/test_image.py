"""World → bytes, numbers that stay, and what happens when the kernel's maps are too small."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.unit.compile.evaluate import evaluate
from tests.unit.compile.objects import endpoint, ipcache, policy_set, workload, world_of
from tulle.abi import (
    MAPS,
    Action,
    Backend,
    EndpointFlag,
    Identity,
    IpcacheEntry,
    PolicyEntry,
    PolicyKey,
    PolicyPrefix,
    PolicySet,
    Reason,
    RuleId,
    Service,
    ServiceKey,
    Slot,
    SlotKey,
)
from tulle.compile import Compiled, Ids, compile_world
from tulle.compile.capacity import DENIALS, LIMITS
from tulle.compile.explain import explain
from tulle.compile.ids import SPACES, Allocator, counters_above
from tulle.compile.parts import DERIVED, flat, packed, unpacked
from tulle.model.kubernetes import OBSERVE_LABEL
from tulle.model.verdict import Flow
from tulle.model.world import Node, World

WEB = workload("web-1", app="web")
DB = workload("db-2", app="db")
BY_NAME = """
kind: CiliumNetworkPolicy
metadata: {name: names}
spec: {endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.example}]}]}
"""
READING = """
kind: CiliumNetworkPolicy
metadata: {name: reading}
spec:
  endpointSelector: {}
  egress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: /a}]}}]}]
"""
ALLOW_WEB = """
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
"""
DB_SERVICE = """
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.10, selector: {app: db}, ports: [{port: 5432}]}
"""


def compiled(world: World, **limits: int) -> Compiled:
    """With room for everything but in the maps named."""
    return compile_world(world, Ids(), {**LIMITS, **limits})


def maps(result: Compiled) -> dict[str, dict[bytes, bytes]]:
    return flat(result.image)


def refusals(result: Compiled) -> list[str]:
    return [f"{item.ref}: {item.reason}" for item in result.refusals]


def flow(src: str, dst: str, port: int = 5432) -> Flow:
    return Flow(ip_address(src), ip_address(dst), "TCP", port)


def services(result: Compiled) -> dict[str, Service]:
    found = {}
    for raw, value in maps(result)["services"].items():
        key = ServiceKey.unpack(raw)
        found[f"{unpacked(key.addr)}:{key.port}/{key.proto}"] = Service.unpack(value)
    return found


# --- bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("10.1.2.3", "00000000000000000000ffff0a010203"),
        ("fd00::1", "fd000000000000000000000000000001"),
    ],
)
def test_addresses_are_128_bits_with_ipv4_mapped(text: str, raw: str) -> None:
    assert packed(ip_address(text)).hex() == raw
    assert unpacked(bytes.fromhex(raw)) == ip_address(text)


def test_a_world_of_nothing_fills_no_map_but_the_builtin_rules() -> None:
    result = compiled(World())
    builtin = {bytes([number, 0, 0, 0]): b"" for number in (1, 2, 3)}
    assert maps(result) == {name: {} for name in DERIVED} | {"rules": builtin}
    assert set(result.rules) == {RuleId.NOT_ISOLATED, RuleId.HOST, RuleId.SELF}


def test_workloads_that_no_policy_selects_are_open_both_ways() -> None:
    entry = endpoint(maps(compiled(world_of(WEB))), "10.0.0.1")
    assert entry.ifindex == 1
    assert (entry.ingress_set, entry.egress_set) == (PolicySet.OPEN, PolicySet.OPEN)


def test_a_workload_that_asks_for_it_is_watched_on_its_own_node() -> None:
    asking = workload("web-1", **{OBSERVE_LABEL: "http"})
    entry = endpoint(maps(compiled(world_of(asking))), "10.0.0.1")
    assert entry.flags == EndpointFlag.WORKLOAD | EndpointFlag.WATCHED
    other = workload("web-1", **{OBSERVE_LABEL: "false"})
    assert endpoint(maps(compiled(world_of(other))), "10.0.0.1").flags == EndpointFlag.WORKLOAD


def test_a_policy_closes_one_direction_of_those_that_it_selects() -> None:
    image = maps(compiled(world_of(WEB, DB, text=ALLOW_WEB)))
    web, db = endpoint(image, "10.0.0.1"), endpoint(image, "10.0.0.2")
    assert (web.ingress_set, web.egress_set, db.egress_set) == (PolicySet.OPEN,) * 3
    assert db.ingress_set >= PolicySet.FIRST
    entries = policy_set(image, db.ingress_set)
    tcp_5432 = PolicyKey(PolicyPrefix.FULL, db.ingress_set, web.identity, 6, 5432)
    assert entries[tcp_5432].action == Action.ALLOW
    assert entries[PolicyKey(PolicyPrefix.ANY, db.ingress_set, Identity.ANY)].action == Action.DENY


def test_equal_sets_are_stored_once() -> None:
    second = workload("db-3", app="db")
    image = maps(compiled(world_of(WEB, DB, second, text=ALLOW_WEB)))
    assert endpoint(image, "10.0.0.2").ingress_set == endpoint(image, "10.0.0.3").ingress_set
    assert len({PolicyKey.unpack(key).set for key in image["policy"]}) == 1


def test_every_rule_of_an_entry_has_a_name_and_a_counter() -> None:
    result = compiled(world_of(WEB, DB, text=ALLOW_WEB))
    used = {PolicyEntry.unpack(value).rule for value in maps(result)["policy"].values()}
    assert used < set(result.rules)
    assert {number.to_bytes(4, "little") for number in result.rules} == set(maps(result)["rules"])
    assert {str(result.rules[number]) for number in used} == {
        "a node always reaches its own workloads",
        "NetworkPolicy shop/db ingress[0]",
        "default deny by NetworkPolicy shop/db (ingress)",
    }


def test_the_ipcache_knows_blocks_and_services() -> None:
    text = """
kind: NetworkPolicy
metadata: {name: p}
spec:
  podSelector: {}
  egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}]}]
---
kind: Service
metadata: {name: s}
spec: {clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, "fd00:7a11:0:96::9"], ports: [{port: 80}]}
---
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, ports: [{port: 80}]}
"""
    result = compiled(world_of(text=text))
    found = ipcache(maps(result))
    block = found.pop("192.0.2.0/24")
    assert result.identities[block] == "cidr:192.0.2.0/24 except 192.0.2.128/25"
    assert found == {
        "192.0.2.128/25": Identity.WORLD,
        "10.96.0.9/32": Identity.SERVICE,
        "fd00:7a11:0:96::9/128": Identity.SERVICE,
    }


def test_a_service_leads_to_its_backends() -> None:
    heavy = replace(workload("db-3", app="db"), weight=3)
    result = compiled(world_of(DB, heavy, text=DB_SERVICE))
    entry = services(result)["10.96.0.10:5432/6"]
    slots = [
        Slot.unpack(maps(result)["slots"][SlotKey(entry.internal.id, index).pack()])
        for index in range(entry.internal.slots)
    ]
    assert [str(unpacked(slot.addr)) for slot in slots] == ["10.0.0.2", "10.0.0.3"]
    assert [slot.port for slot in slots] == [5432, 5432]
    assert slots[0].keep == (1 << 31) - 1 and slots[0].alias == 1  # 1 : 3
    for slot in slots:
        raw = maps(result)["backends"][slot.backend.to_bytes(8, "little")]
        assert Backend.unpack(raw) == Backend(entry.id, 5432, slot.addr)
    assert result.services[entry.id].service.name == "db"


def test_a_service_without_ready_endpoints_has_no_slots() -> None:
    result = compiled(world_of(replace(DB, ready=False), text=DB_SERVICE))
    assert services(result)["10.96.0.10:5432/6"].internal.slots == 0
    assert not maps(result)["slots"] and not maps(result)["backends"]


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ("", 0),
        (", sessionAffinity: ClientIP", 10800),
        (
            ", sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 7}}",
            7,
        ),
    ],
)
def test_affinity_lasts_as_long_as_its_service_says(more: str, seconds: int) -> None:
    text = DB_SERVICE.replace("ports:", f"{more[2:]}, ports:" if more else "ports:")
    assert services(compiled(world_of(text=text)))["10.96.0.10:5432/6"].affinity_s == seconds


# --- numbers -------------------------------------------------------------------------------------


def test_a_new_backend_makes_a_new_table_and_keeps_all_other_numbers() -> None:
    before = compile_world(world_of(DB, text=DB_SERVICE), Ids())
    after = compile_world(world_of(DB, workload("db-3", app="db"), text=DB_SERVICE), before.ids)
    old, new = (services(item)["10.96.0.10:5432/6"] for item in (before, after))
    assert old.internal.id != new.internal.id
    assert old.id == new.id
    assert maps(before)["backends"].items() <= maps(after)["backends"].items()


def test_counters_start_above_all_that_a_kernel_holds() -> None:
    policy = ALLOW_WEB.replace(
        "ingress:", "egress: [{to: [{ipBlock: {cidr: 1.0.0.0/8}}]}]\n  ingress:"
    )
    text = f"{policy}---{READING}---{DB_SERVICE}---{BY_NAME}"
    held = compile_world(world_of(WEB, DB, text=text), Ids())
    fresh = Allocator(counters_above(maps(held)))
    for kind in SPACES:
        assert fresh.get(kind, "new") > max(held.ids.taken[kind].values()), kind


def test_counters_stand_above_rules_that_only_have_a_counter() -> None:
    """Or a new rule would go on counting where another one stopped."""
    image = {"rules": {(700).to_bytes(4, "little"): b""}}
    assert Allocator(counters_above(image)).get("rule", "new") > 700


def test_counters_stand_above_identities_that_only_the_ipcache_holds() -> None:
    image = {"ipcache": {b"": IpcacheEntry(700).pack()}}
    assert Allocator(counters_above(image)).get("identity", "new") > 700


def test_counters_above_the_last_number_of_a_space_go_round() -> None:
    image = {"ipcache": {b"": IpcacheEntry(SPACES["identity"].limit - 1).pack()}}
    assert Allocator(counters_above(image)).get("identity", "new") == SPACES["identity"].first


def test_counters_of_an_empty_kernel_are_within_their_spaces() -> None:
    fresh = Allocator(counters_above({}))
    for kind, space in SPACES.items():
        assert space.first <= fresh.get(kind, "new") < space.limit


# --- full maps -----------------------------------------------------------------------------------


def test_a_change_of_everything_fits_beside_what_is_there() -> None:
    for name in DERIVED:
        assert 2 * LIMITS[name] <= MAPS[name].max_entries


def test_identities_cannot_run_out() -> None:
    space = SPACES["identity"]
    # in use: one per endpoint and prefix, before and after a change
    assert 2 * (LIMITS["endpoints"] + LIMITS["ipcache"]) < space.limit - space.first


def test_what_fits_exactly_is_not_refused() -> None:
    world = world_of(WEB, DB, text=f"{ALLOW_WEB}---{DB_SERVICE}")
    free = compiled(world)
    assert not free.refusals
    exact = {name: len(maps(free)[name]) for name in DERIVED}
    spare = {"policy": exact["policy"] + DENIALS, "rules": exact["rules"] + DENIALS}
    assert compiled(world, **exact | spare) == free


def test_the_latest_workload_is_cut_off_when_endpoints_are_full() -> None:
    late = workload("a-9", "10.0.0.9", "fd00::9", app="db")
    result = compiled(world_of(late, WEB, DB, text=DB_SERVICE), endpoints=3)
    assert refusals(result) == ["Pod shop/a-9: map endpoints is full (limit 3): it is cut off"]
    assert set(maps(result)["endpoints"]) == {
        packed(ip_address(item)) for item in ("10.0.0.1", "10.0.0.2")
    }
    assert services(result)["10.96.0.10:5432/6"].internal.slots == 1  # nobody is sent to it


def test_a_policy_that_does_not_fit_denies_and_leaves_the_others_in_force() -> None:
    ports = ", ".join(f"{{port: {number}}}" for number in range(1, 24, 2))
    many = f"""
kind: NetworkPolicy
metadata: {{name: many}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  ingress: [{{ports: [{ports}]}}]
"""
    world = world_of(WEB, DB, text=f"{many}---{ALLOW_WEB}")
    result = compiled(world, policy=14)
    assert refusals(result) == [
        "NetworkPolicy shop/many: map policy is full (limit 14): "
        "all ingress of shop/web-1 is denied"
    ]
    to_web, to_db = flow("10.0.0.2", "10.0.0.1", 3), flow("10.0.0.1", "10.0.0.2")
    ruling = evaluate(maps(result), to_web)
    assert explain(world, to_web).allowed and ruling.reason == Reason.POLICY_DENIED
    assert str(result.rules[ruling.ingress]) == "refused: map policy is full (limit 14)"
    assert evaluate(maps(result), to_db).reason == Reason.ALLOWED
    assert len(maps(result)["policy"]) <= 14


def test_full_maps_hold_no_more_than_their_limit_however_many_sets_are_refused() -> None:
    policies = [
        f"""
kind: NetworkPolicy
metadata: {{name: p{number}}}
spec:
  podSelector: {{matchLabels: {{n: "{number}"}}}}
  policyTypes: [Ingress, Egress]
  ingress: [{{ports: [{{port: {number}}}]}}]
"""
        for number in range(1, 9)
    ]
    world = world_of(
        *(workload(f"w-{number}", n=str(number)) for number in range(1, 9)),
        text="---".join(policies),
    )
    for limits in ({"policy": 11}, {"rules": 11}, {"policy": 14, "rules": 12}):
        result = compiled(world, **limits)
        assert result.refusals
        for name, limit in limits.items():
            assert len(maps(result)[name]) <= limit
        for entry in maps(result)["policy"].values():
            assert PolicyEntry.unpack(entry).rule.to_bytes(4, "little") in maps(result)["rules"]


def test_rules_that_find_no_counter_deny() -> None:
    result = compiled(world_of(WEB, DB, text=ALLOW_WEB), rules=7)
    assert refusals(result) == [
        "NetworkPolicy shop/db: map rules is full (limit 7): all ingress of shop/db-2 is denied"
    ]
    assert evaluate(maps(result), flow("10.0.0.1", "10.0.0.2")).reason == Reason.POLICY_DENIED


def block_policy(name: str, block: str) -> str:
    return f"""
kind: NetworkPolicy
metadata: {{name: {name}}}
spec:
  podSelector: {{}}
  egress: [{{to: [{{ipBlock: {block}}}]}}]
"""


def test_a_policy_whose_prefixes_do_not_fit_isolates_and_admits_nobody() -> None:
    """Without the prefix of its `except` it would admit what it excludes."""
    small = block_policy("a", "{cidr: 198.51.100.0/24}")
    large = block_policy("b", "{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}")
    result = compiled(world_of(WEB, text=f"{small}---{large}"), ipcache=2)
    assert refusals(result) == [
        "NetworkPolicy shop/b: map ipcache is full (limit 2): "
        "it isolates, and its rules admit nobody"
    ]
    verdicts = [
        evaluate(maps(result), flow("10.0.0.1", dst)).reason
        for dst in ("198.51.100.1", "192.0.2.1", "192.0.2.129")
    ]
    assert verdicts == [Reason.ALLOWED, Reason.POLICY_DENIED, Reason.POLICY_DENIED]


def test_prefixes_that_policies_share_count_once() -> None:
    blocks = [block_policy(name, "{cidr: 192.0.2.0/24}") for name in "abc"]
    assert not compiled(world_of(WEB, text="---".join(blocks)), ipcache=1).refusals


def test_a_service_address_without_room_is_refused_and_the_node_keeps_its_own() -> None:
    second = DB_SERVICE.replace("name: db", "name: more").replace("10.96.0.10", "10.96.0.11")
    node = Node(addresses=(ip_address("192.0.2.1"),))
    result = compiled(world_of(DB, text=f"{DB_SERVICE}---{second}", node=node), ipcache=1)
    assert refusals(result) == ["Service shop/more: map ipcache is full (limit 1)"]
    assert ipcache(maps(result)) == {"10.96.0.10/32": Identity.SERVICE}
    assert endpoint(maps(result), "192.0.2.1").identity == Identity.HOST
    assert set(services(result)) == {"10.96.0.10:5432/6"}


@pytest.mark.parametrize("full", ["services", "slots", "backends"])
def test_a_service_that_does_not_fit_is_refused_whole(full: str) -> None:
    text = """
kind: Service
metadata: {name: a}
spec: {clusterIP: 10.96.0.1, selector: {app: db}, ports: [{name: one, port: 1}]}
---
kind: Service
metadata: {name: b}
spec:
  clusterIP: 10.96.0.2
  selector: {app: db}
  ports: [{name: one, port: 1}, {name: two, port: 2}]
---
kind: Service
metadata: {name: c}
spec: {clusterIP: 10.96.0.3, selector: {app: db}, ports: [{name: one, port: 1}]}
"""
    result = compiled(world_of(DB, text=text), **{full: 2})
    assert refusals(result) == [f"Service shop/b: map {full} is full (limit 2)"]
    assert set(services(result)) == {"10.96.0.1:1/6", "10.96.0.3:1/6"}
    to_b = evaluate(maps(result), flow("10.0.0.2", "10.96.0.2", 1))
    assert to_b.reason == Reason.NO_SERVICE_PORT  # its address leads nowhere else


def test_what_is_for_the_proxy_is_known_by_its_addresses() -> None:
    text = "kind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}"
    world = world_of(WEB, text=text)
    front = ("shop", "web"), ip_address("10.96.0.9"), 80, "TCP"
    plain = compile_world(world, Ids())
    assert plain.steered is None
    proxied = compile_world(world, Ids(), before=plain, proxied=frozenset({front}))
    assert proxied.steered == {front[1]}
    assert compile_world(world_of(WEB, text=READING), Ids()).steered == frozenset()
