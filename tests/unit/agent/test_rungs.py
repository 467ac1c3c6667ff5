"""Where each rule is judged, and why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import policy, service, town
from tulle.agent.rungs import PACKET, STREAM, rungs
from tulle.compile import Ids, compile_world
from tulle.model.world import Settings

CNP = "CiliumNetworkPolicy"


def test_each_rule_has_a_rung_and_a_reason() -> None:
    """`rungs` reads what a pass has compiled, and nothing else of it."""
    plain = "{endpointSelector: {}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: "
    policies = (
        policy("shop/a", ruled("{path: /a}").replace("'80'", "'81'"), CNP),
        policy("shop/b", ruled("{path: '/b?'}"), CNP),
        policy("shop/c", plain + "[{port: '82', protocol: TCP}]}]}]}", CNP),
    )
    world = replace(town(*policies), settings=Settings(stream=True))
    now: Any = SimpleNamespace(compiled=compile_world(world, Ids()))
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
    now: Any = SimpleNamespace(compiled=compile_world(world, Ids()))
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
