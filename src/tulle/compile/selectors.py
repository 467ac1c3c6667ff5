"""Label selectors and port names, with the meaning that Kubernetes gives them."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement
from tulle.model.world import Workload


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether every label and every expression of the selector holds."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def label_keys(selector: LabelSelector) -> frozenset[str]:
    """The keys that a match can depend on; labels under other keys never change the answer."""
    return frozenset(selector.match_labels) | {
        requirement.key for requirement in selector.match_expressions
    }


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
