"""Selectors of every kind of policy → selectors over `rules.seen_labels`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from tulle.model import cilium
from tulle.model.cilium import CLUSTER_KEY, split_key
from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement

from ..rules import (
    NAMESPACE_KEY,
    NAMESPACE_LABELS,
    Entity,
    PeerTerm,
    Pods,
    names_cluster,
    own_label,
)

_KNOWN = {item.value: item for item in Entity}
ENTITIES: dict[str, Entity | None] = {name: _KNOWN.get(name) for name in cilium.ENTITIES}
_OPPOSITES: dict[str, Literal["In", "NotIn", "Exists", "DoesNotExist"]] = {
    "In": "NotIn",
    "NotIn": "In",
    "Exists": "DoesNotExist",
    "DoesNotExist": "Exists",
}


def both(*selectors: LabelSelector) -> LabelSelector:
    """What matches all of the selectors."""
    labels: dict[str, str] = {}
    expressions: list[LabelSelectorRequirement] = []
    for selector in selectors:
        for key, value in selector.match_labels.items():
            if labels.setdefault(key, value) != value:
                expressions.append(LabelSelectorRequirement(key, "In", (value,)))
        expressions += selector.match_expressions
    return LabelSelector(labels, tuple(expressions))


def in_namespace(name: str) -> LabelSelector:
    return LabelSelector({NAMESPACE_KEY: name})


def of_namespaces(selector: LabelSelector) -> LabelSelector:
    """Workloads in the namespaces that a namespaceSelector of Kubernetes' matches."""
    return _renamed(selector, lambda key: NAMESPACE_LABELS + key)


def of_pods(selector: LabelSelector) -> LabelSelector:
    """Workloads whose own labels a podSelector of Kubernetes' matches.

    It may name clusters, as Cilium lets it.
    """
    return _renamed(selector, lambda key: key if key == CLUSTER_KEY else own_label(key))


def _renamed(selector: LabelSelector, name: Callable[[str], str]) -> LabelSelector:
    labels = {name(key): value for key, value in selector.match_labels.items()}
    expressions = tuple(
        LabelSelectorRequirement(name(item.key), item.operator, item.values)
        for item in selector.match_expressions
    )
    return LabelSelector(labels, expressions)


def requirements(selector: LabelSelector) -> Iterator[LabelSelectorRequirement]:
    """A selector's labels and expressions in one form."""
    for key, value in selector.match_labels.items():
        yield LabelSelectorRequirement(key, "In", (value,))
    yield from selector.match_expressions


def plain(selector: LabelSelector) -> LabelSelector | None:
    """A selector of Cilium's without sources of labels; None if it can match no workload.

    No workload has a reserved label.
    """
    labels: dict[str, str] = {}
    expressions: list[LabelSelectorRequirement] = []
    for key, value in selector.match_labels.items():
        if (always := _constant(LabelSelectorRequirement(key, "In", (value,)))) is False:
            return None
        name = split_key(key)[1]
        if always is None and labels.setdefault(name, value) != value:
            expressions.append(LabelSelectorRequirement(name, "In", (value,)))
    for item in selector.match_expressions:
        if (always := _constant(item)) is False:
            return None
        if always is None:
            name = split_key(item.key)[1]
            expressions.append(LabelSelectorRequirement(name, item.operator, item.values))
    return LabelSelector(labels, tuple(expressions))


def _constant(item: LabelSelectorRequirement) -> bool | None:
    """Whether a requirement holds for every workload or for none; None if that depends."""
    if split_key(item.key)[0] == "reserved":
        return item.operator in ("NotIn", "DoesNotExist")
    return None


def peers(selectors: Iterable[LabelSelector], namespace: str) -> Iterator[PeerTerm]:
    """Terms of Cilium's endpoint selectors in a policy of `namespace` ("": of none)."""
    for selector in selectors:
        if (name := reserved(selector)) is not None:
            if (entity := ENTITIES[name]) is not None:
                yield entity
        elif (chosen := endpoints(selector, namespace)) is not None:
            yield Pods(chosen)


def others(selector: LabelSelector, namespace: str, cluster: str) -> Iterator[Pods]:
    """The workloads that one of Cilium's endpoint selectors does not match.

    One that names no cluster matches nobody outside of `cluster`, which is this one.
    """
    anywhere = LabelSelectorRequirement(CLUSTER_KEY, "Exists")
    if (chosen := endpoints(selector, namespace)) is None:
        yield Pods(LabelSelector({}, (anywhere,)))
        return
    wanted = list(requirements(chosen))
    if not names_cluster(item.key for item in wanted):
        wanted.append(LabelSelectorRequirement(CLUSTER_KEY, "In", (cluster,)))
    for item in wanted:
        opposite = LabelSelectorRequirement(item.key, _OPPOSITES[item.operator], item.values)
        yield Pods(LabelSelector({}, (opposite, anywhere)))


def endpoints(selector: LabelSelector, namespace: str) -> LabelSelector | None:
    """What one of Cilium's endpoint selectors means; None if it can match no workload.

    One of a policy in a namespace means that namespace, unless it names one itself.
    """
    chosen = plain(selector)
    if chosen is None or not namespace or _names_namespace(chosen):
        return chosen
    return both(chosen, in_namespace(namespace))


def reserved(selector: LabelSelector) -> str | None:
    """The peer that a selector names by its reserved label, such as `host`."""
    for item in requirements(selector):
        source, name = split_key(item.key)
        if source == "reserved" and item.operator in ("In", "Exists"):
            return name
    return None


def _names_namespace(selector: LabelSelector) -> bool:
    return any(
        item.key == NAMESPACE_KEY or item.key.startswith(NAMESPACE_LABELS)
        for item in requirements(selector)
    )
