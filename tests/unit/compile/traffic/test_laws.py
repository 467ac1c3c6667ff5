"""What holds for any policies: what was before only saves work, and order means nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.unit.compile.routes.worlds import POOL, completed
from tests.unit.compile.routes.worlds import world_of as with_more
from tulle.compile.traffic import route
from tulle.model.routing import Routing
from tulle.model.world import World

from .scenes import FIELDS, policy, world_of

STEPS = 25
TARGETS = (
    *("Gateway/edge", "Gateway/edge/http", "Gateway/edge/none", "Gateway/none"),
    *("HTTPRoute/web", "HTTPRoute/web/cart", "HTTPRoute/none", "GRPCRoute/none"),
    *("Service/web", "Service/web/http", "Service/auth", "Service/none"),
)
EXTERNAL = {"protocol": "HTTP", "http": {}}
SAYS: dict[str, tuple[dict[str, object], ...]] = {
    "BackendTrafficPolicy": (
        {"circuitLimits": {"requests": 5}},
        {"outlierDetection": {}},
        {"sessionPersistence": {"type": "Header", "header": {"name": "a"}}},
    ),
    "XBackendTrafficPolicy": ({"retryConstraint": {}},),
    "RateLimitPolicy": ({"limits": [{"requests": 1}]}, {"limits": [{"requests": 2}]}),
    "FaultInjectionPolicy": ({"abort": {"status": 503}}, {"delay": {"duration": "1s"}}),
    "AuthPolicy": (
        {"external": {**EXTERNAL, "backendRef": {"name": "auth", "port": 9000}}},
        {"external": {**EXTERNAL, "backendRef": {"name": "none", "port": 9000}}},
    ),
}


def changed(rng: Random, world: World) -> World:
    """With a policy more, one less, or one that says something else."""
    kind = rng.choice(list(SAYS))
    field = FIELDS[kind]
    policies = dict(getattr(world, field))
    if policies and rng.random() < 0.3:
        del policies[rng.choice(sorted(policies))]
        return replace(world, **{field: policies})
    of_backends = "Backend" in kind
    targets = [item for item in TARGETS if item.startswith("Service") or not of_backends]
    if kind == "XBackendTrafficPolicy":
        targets = [item for item in targets if item.count("/") == 1]
    says = dict(rng.choice(SAYS[kind]))
    if not of_backends:
        says["override"] = rng.random() < 0.3
    name, created = rng.choice("abc"), rng.choice(["", "2026-01-01T00:00:00Z"])
    chosen = rng.sample(targets, rng.randint(1, 2))
    text = policy(kind, name, *chosen, created=created, **says)
    return replace(world, **{field: {**policies, **getattr(world_of(text), field)}})


def shuffled(rng: Random, world: World) -> World:
    """The same, as if it had been told in another order."""
    fields = {}
    for kind in SAYS:
        items = list(getattr(world, FIELDS[kind]).items())
        rng.shuffle(items)
        fields[FIELDS[kind]] = dict(items)
    return replace(world, **fields)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_came_before_the_result_is_the_same(seed: int) -> None:
    rng = Random(seed)
    world = completed(with_more(POOL, base=world_of()))
    known: Routing | None = None
    for _ in range(STEPS):
        world = changed(rng, world)
        known = route(world, known)
        fresh = route(shuffled(rng, world))
        assert known.fronts == fresh.fronts
        assert known.status == fresh.status
        again = route(shuffled(rng, world), known)
        assert all(again.fronts[name] is front for name, front in known.fronts.items())
