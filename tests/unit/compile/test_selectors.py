"""Label selectors and port names, row by row."""

from random import Random

import msgspec
import pytest
import yaml

from tulle.compile.selectors import SelectorIndex, matches, named_port
from tulle.model.kubernetes import ContainerPort, LabelSelector, LabelSelectorRequirement
from tulle.model.world import Workload

WEB = {"app": "web", "tier": "front"}


def selector(text: str) -> LabelSelector:
    return msgspec.convert(yaml.safe_load(text), LabelSelector)


def expression(key: str, operator: str, *values: str) -> LabelSelector:
    return selector(
        f"{{matchExpressions: [{{key: {key}, operator: {operator}, values: {list(values)}}}]}}"
    )


@pytest.mark.parametrize(
    ("chosen", "labels", "expected"),
    [
        (selector("{}"), WEB, True),
        (selector("{}"), {}, True),
        (selector("{matchLabels: {app: web}}"), WEB, True),
        (selector("{matchLabels: {app: api}}"), WEB, False),
        (selector("{matchLabels: {app: web}}"), {}, False),
        (selector("{matchLabels: {app: ''}}"), {}, False),
        (selector("{matchLabels: {app: ''}}"), {"app": ""}, True),
        (selector("{matchLabels: {app: web, tier: front}}"), WEB, True),
        (selector("{matchLabels: {app: web, tier: back}}"), WEB, False),
        (expression("app", "In", "api", "web"), WEB, True),
        (expression("app", "In", "api"), WEB, False),
        (expression("zone", "In", "api"), WEB, False),
        (expression("app", "NotIn", "api"), WEB, True),
        (expression("app", "NotIn", "api", "web"), WEB, False),
        (expression("zone", "NotIn", "north"), WEB, True),
        (expression("app", "Exists"), WEB, True),
        (expression("app", "Exists"), {"app": ""}, True),
        (expression("zone", "Exists"), WEB, False),
        (expression("app", "DoesNotExist"), WEB, False),
        (expression("zone", "DoesNotExist"), WEB, True),
    ],
)
def test_matches(chosen: LabelSelector, labels: dict[str, str], expected: bool) -> None:
    assert matches(chosen, labels) is expected


def test_labels_and_expressions_must_all_hold() -> None:
    both = selector(
        "{matchLabels: {app: web}, matchExpressions:"
        " [{key: tier, operator: Exists}, {key: zone, operator: DoesNotExist}]}"
    )
    assert matches(both, WEB)
    assert not matches(both, {"app": "web"})
    assert not matches(both, {**WEB, "zone": "north"})
    assert not matches(both, {**WEB, "app": "api"})


def test_a_port_is_known_by_name_and_protocol() -> None:
    ports = (
        ContainerPort(53, "dns", "UDP"),
        ContainerPort(5353, "dns", "TCP"),
        ContainerPort(5354, "dns", "TCP"),
        ContainerPort(80),
    )
    workload = Workload("shop", "web", {}, (), 7, ports)
    assert named_port(workload, "dns", "UDP") == 53
    assert named_port(workload, "dns", "TCP") == 5353
    assert named_port(workload, "dns", "SCTP") is None
    assert named_port(workload, "http", "TCP") is None


def test_the_index_finds_what_a_look_at_every_selector_finds() -> None:
    rng = Random(2)
    keys, values = ("app", "tier", "zone"), ("a", "b", "c")

    def requirement() -> LabelSelectorRequirement:
        operator = rng.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        chosen = tuple(rng.sample(values, rng.randint(0, 2))) if "In" in operator else ()
        return LabelSelectorRequirement(rng.choice(keys), operator, chosen)

    def labels() -> dict[str, str]:
        return {key: rng.choice(values) for key in keys if rng.random() < 0.5}

    selectors = [
        LabelSelector(
            labels() if rng.random() < 0.5 else {},
            tuple(requirement() for _ in range(rng.randint(0, 2))),
        )
        for _ in range(200)
    ]
    index = SelectorIndex((selector, number) for number, selector in enumerate(selectors))
    for _ in range(100):
        wanted = labels()
        expected = [n for n, selector in enumerate(selectors) if matches(selector, wanted)]
        assert sorted(index.matching(wanted)) == expected
