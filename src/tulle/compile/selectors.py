"""Label selectors and port names, with the meaning that Kubernetes gives them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement
from tulle.model.world import Workload


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether every label and every expression of the selector holds."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def named_port(workload: Workload, name: str, protocol: str) -> int | None:
    """The number behind a port's name; the first container that has it wins, as in Kubernetes."""
    for port in workload.ports:
        if port.name == name and port.protocol == protocol:
            return port.container_port
    return None


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    # A negative operator holds for an absent key as well.
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None


T = TypeVar("T")


class SelectorIndex(Generic[T]):
    """Finds the selectors that match some labels without trying all of them.

    Each is filed under one label that it demands: the one that fewest of them demand.
    """

    def __init__(self, items: Iterable[tuple[LabelSelector, T]]) -> None:
        listed = [(selector, item, list(_demands(selector))) for selector, item in items]
        counts = Counter(pair for _, _, demands in listed for pairs in demands for pair in pairs)
        self._by_label: dict[tuple[str, str], list[tuple[LabelSelector, T]]] = defaultdict(list)
        self._others: list[tuple[LabelSelector, T]] = []
        for selector, item, demands in listed:
            if not demands:
                self._others.append((selector, item))
                continue
            for pair in min(demands, key=lambda pairs: sum(counts[pair] for pair in pairs)):
                self._by_label[pair].append((selector, item))

    def matching(self, labels: Mapping[str, str]) -> list[T]:
        """In no order."""
        found = [item for selector, item in self._others if matches(selector, labels)]
        for pair in labels.items():
            for selector, item in self._by_label.get(pair, ()):
                if matches(selector, labels):
                    found.append(item)
        return found


def _demands(selector: LabelSelector) -> Iterator[tuple[tuple[str, str], ...]]:
    """Labels of which one has to be there, as often as the selector says such a thing."""
    yield from ((pair,) for pair in selector.match_labels.items())
    for item in selector.match_expressions:
        if item.operator == "In":
            yield tuple((item.key, value) for value in dict.fromkeys(item.values))
