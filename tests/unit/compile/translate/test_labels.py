import pytest

from tulle.compile.rules import (
    NAMESPACE_KEY,
    NAMESPACE_LABELS,
    SERVICE_ACCOUNT_KEY,
    Entity,
    Pods,
    seen_labels,
)
from tulle.compile.selectors import matches
from tulle.compile.translate.labels import (
    ENTITIES,
    both,
    endpoints,
    of_namespaces,
    of_pods,
    others,
    peers,
    plain,
)
from tulle.model.cilium import CLUSTER_KEY
from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement

NS = "k8s:" + NAMESPACE_KEY


def needs(key: str, operator: str, *values: str) -> LabelSelectorRequirement:
    return LabelSelectorRequirement(key, operator, values)


def expression(key: str, operator: str, *values: str) -> LabelSelector:
    return LabelSelector({}, (needs(key, operator, *values),))


def test_both_of_two_that_contradict_each_other_match_nothing() -> None:
    found = both(LabelSelector({"a": "1", "b": "2"}), LabelSelector({"a": "3", "b": "2"}))
    assert found == LabelSelector({"a": "1", "b": "2"}, (needs("a", "In", "3"),))


def test_namespaces_are_seen_by_prefixed_labels() -> None:
    given = LabelSelector({"a": "1"}, (needs("b", "NotIn", "2"),))
    prefixed = (needs(NAMESPACE_LABELS + "b", "NotIn", "2"),)
    assert of_namespaces(given) == LabelSelector({NAMESPACE_LABELS + "a": "1"}, prefixed)


def test_a_pod_selector_asks_for_the_pods_own_labels() -> None:
    given = LabelSelector({NAMESPACE_KEY: "bank", "app": "a"})
    pod = {NAMESPACE_KEY: "bank", "app": "a"}
    assert matches(of_pods(given), seen_labels(pod, "shop", {}, "default", "c"))
    assert not matches(of_pods(given), seen_labels({"app": "a"}, "bank", {}, "default", "c"))
    absent = expression(SERVICE_ACCOUNT_KEY, "DoesNotExist")
    assert matches(of_pods(absent), seen_labels(pod, "shop", {}, "default", "c"))
    assert seen_labels(pod, "shop", {}, "default", "c")[NAMESPACE_KEY] == "shop"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (LabelSelector({"app": "a"}), LabelSelector({"app": "a"})),
        (LabelSelector({"k8s:app": "a"}), LabelSelector({"app": "a"})),
        (LabelSelector({"any:app": "a"}), LabelSelector({"app": "a"})),
        (expression("k8s:app", "Exists"), expression("app", "Exists")),
        (
            LabelSelector({"k8s:app": "a", "any:app": "b"}),
            LabelSelector({"app": "a"}, (needs("app", "In", "b"),)),
        ),
        (LabelSelector({f"k8s:{CLUSTER_KEY}": "west"}), LabelSelector({CLUSTER_KEY: "west"})),
        # no workload has a reserved label
        (expression("reserved:ingress", "DoesNotExist"), LabelSelector()),
        (expression("reserved:host", "NotIn", ""), LabelSelector()),
        (expression("reserved:host", "Exists"), None),
        (LabelSelector({"app": "a", "reserved:host": ""}), None),
    ],
)
def test_sources_of_labels(given: LabelSelector, meant: LabelSelector | None) -> None:
    assert plain(given) == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (LabelSelector(), LabelSelector({NAMESPACE_KEY: "shop"})),
        (LabelSelector({"a": "1"}), LabelSelector({"a": "1", NAMESPACE_KEY: "shop"})),
        (LabelSelector({NS: "bank"}), LabelSelector({NAMESPACE_KEY: "bank"})),
        (expression(NS, "Exists"), expression(NAMESPACE_KEY, "Exists")),
        (
            LabelSelector({"k8s:io.cilium.k8s.namespace.labels.team": "x"}),
            LabelSelector({NAMESPACE_LABELS + "team": "x"}),
        ),
    ],
)
def test_endpoints_are_of_the_policys_namespace_unless_they_name_one(
    given: LabelSelector, meant: LabelSelector
) -> None:
    assert endpoints(given, "shop") == meant


def test_endpoints_of_a_clusterwide_policy_are_of_any_namespace() -> None:
    assert endpoints(LabelSelector(), "") == LabelSelector()


@pytest.mark.parametrize(
    ("given", "terms"),
    [
        (LabelSelector({"reserved:host": ""}), [Entity.HOST]),
        (expression("reserved:remote-node", "Exists"), [Entity.REMOTE_NODE]),
        (LabelSelector({"reserved:health": ""}), []),
        (LabelSelector({"a": "1"}), [Pods(LabelSelector({"a": "1", NAMESPACE_KEY: "shop"}))]),
    ],
)
def test_peers(given: LabelSelector, terms: list[object]) -> None:
    assert list(peers([given], "shop")) == terms


def test_others_are_those_that_fail_in_any_part() -> None:
    given = LabelSelector({"a": "1"}, (needs("b", "NotIn", "2"), needs("c", "Exists")))
    found = [item.selector.match_expressions for item in others(given, "shop", "east")]
    anywhere = needs(CLUSTER_KEY, "Exists")
    elsewhere = needs(CLUSTER_KEY, "NotIn", "east")
    assert found == [
        (needs("a", "NotIn", "1"), anywhere),
        (needs(NAMESPACE_KEY, "NotIn", "shop"), anywhere),
        (needs("b", "In", "2"), anywhere),
        (needs("c", "DoesNotExist"), anywhere),
        (elsewhere, anywhere),
    ]
    everybody = Pods(LabelSelector({}, (anywhere,)))
    assert list(others(expression("reserved:host", "Exists"), "", "east")) == [everybody]
    named = others(LabelSelector({CLUSTER_KEY: "west"}), "", "east")
    assert [item.selector.match_expressions for item in named] == [
        (needs(CLUSTER_KEY, "NotIn", "west"), anywhere)
    ]


def test_every_entity_of_the_one_form_has_its_name() -> None:
    assert {item for item in ENTITIES.values() if item} == set(Entity)
