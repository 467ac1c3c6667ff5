"""Where each rule is judged, and why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import policy, service, town
from tulle.agent.rungs import ALONE, NAMES, NOT_SHORT, PACKET, SHORT, SHORT_BUT, STREAM, rungs
from tulle.compile import Ids, compile_world
from tulle.model.bandwidth import Bandwidth, limit_of
from tulle.model.routing import Routing
from tulle.model.world import Settings, World

CNP = "CiliumNetworkPolicy"


def passed(world: World) -> Any:
    """`rungs` reads the world and what was compiled of it, and nothing else of a pass."""
    return SimpleNamespace(world=world, compiled=compile_world(world, Ids()), routing=Routing())


def test_each_rule_has_a_rung_and_a_reason() -> None:
    plain = "{endpointSelector: {}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: "
    policies = (
        policy("shop/a", ruled("{path: /a}").replace("'80'", "'81'"), CNP),
        policy("shop/b", ruled("{path: '/b?'}"), CNP),
        policy("shop/c", plain + "[{port: '82', protocol: TCP}]}]}]}", CNP),
    )
    world = replace(town(*policies), settings=Settings(stream=True))
    now = passed(world)
    rows = {(row["rule"], row["rung"]): row["why"] for row in rungs(now, now)}
    assert rows[f"{CNP} shop/c ingress[0]", 1] == PACKET
    assert {rung for rule, rung in rows if " shop/b " in rule} >= {3}
    why = next(text for (rule, rung), text in rows.items() if " shop/b " in rule and rung == 3)
    assert "is a regular expression: it has '?'" in why
    assert all(text == STREAM for (_, rung), text in rows.items() if rung == 2)


def test_what_forces_a_rule_up_is_named() -> None:
    """By whose rule it is where several are judged together, and for each port by itself."""
    both = (
        policy("shop/a", ruled("{path: /a}"), CNP),
        policy("shop/b", ruled("{path: '/b?'}"), CNP),
        policy("bank/a", ruled("{path: /a}"), CNP),
    )
    speaking = [
        service(f"bank/{app}", f"{{app: {app}}}", f"{{port: 80, appProtocol: {spoken}}}")
        for app, spoken in (("web", "grpc"), ("vault", "https"))
    ]
    world = replace(town(*both, *speaking), settings=Settings(stream=True))
    now = passed(world)
    whys: dict[str, set[str]] = {}
    for row in rungs(now, now):
        if row["rung"] == 3:
            whys.setdefault(row["namespace"], set()).add(row["why"])
    expression = "toPorts[0].rules.http[0].path is a regular expression: it has '?'"
    assert whys == {
        "shop": {f"{CNP} shop/b ingress[0].{expression}"},
        "bank": {
            "port 80 speaks HTTP/2: appProtocol grpc in Service bank/web",
            "port 80 speaks TLS: appProtocol https in Service bank/vault",
        },
    }


def test_names_in_tls_are_the_proxys_with_or_without_the_option() -> None:
    text = "{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], "
    item = policy("shop/a", text + "serverNames: [a.test]}]}]}", CNP)
    for stream in (True, False):
        now = passed(replace(town(item), settings=Settings(stream=stream)))
        (row,) = (row for row in rungs(now, now) if row["set"])
        assert row["rule"] == f"{CNP} shop/a egress[0].toPorts[0]"
        why = "toPorts[0].serverNames: the proxy judges names in TLS"
        assert (row["rung"], row["why"]) == (3, why)


def test_rules_by_names_stand_where_dns_is_read() -> None:
    text = "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.test}]}, {toEntities: [all]}]}"
    now = passed(town(policy("shop/a", text, CNP)))
    rows = {row["rule"]: (row["rung"], row["why"]) for row in rungs(now, now)}
    assert rows[f"{CNP} shop/a egress[0]"] == (2, NAMES)
    assert rows[f"{CNP} shop/a egress[1]"] == (1, PACKET)


def test_who_takes_part_in_the_short_circuit_and_what_keeps_others() -> None:
    def shown(world: World) -> dict[str, tuple[int, str]]:
        now = passed(world)
        rows = (row for row in rungs(now, now) if row["rule"].startswith("short circuit"))
        return {row["rule"].rpartition(" ")[2]: (row["rung"], row["why"]) for row in rows}

    reads = policy("shop/a", ruled("{path: /a}").replace("{}", "{matchLabels: {app: db}}"), CNP)
    plain = town(reads)
    assert shown(plain) == {"circuit": (1, NOT_SHORT)}
    changes: dict[str, dict[str, Any]] = {
        "api": {"labels": {"tulle.io/short-circuit": "false"}},
        "web": {"labels": {"tulle.io/observe": "http"}},
        "vault": {"bandwidth": Bandwidth(egress=limit_of("1M"))},
    }
    workloads = {
        key: replace(item, **changes.get(key[1], {}))
        for key, item in plain.workloads.items()
        if key != ("bank", "web")
    }
    asked = replace(plain, settings=Settings(short_circuit=True), workloads=workloads)
    found = shown(asked)
    assert {name: why for name, (rung, why) in found.items() if rung == 2} == {
        "shop/db": SHORT_BUT,
        "park/tree": SHORT,
    }
    assert {name: why.partition(":")[0] for name, (rung, why) in found.items() if rung == 1} == {
        "shop/api": "its label tulle.io/short-circuit is false",
        "shop/web": "its label tulle.io/observe is http",
        "bank/vault": "its bandwidth is limited",
    }
    del workloads["park", "tree"]
    assert shown(asked)["shop/db"] == (1, ALONE)
