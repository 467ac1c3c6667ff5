"""Where each rule is judged, and why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import policy, town
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
