"""Everything that an installation consists of, in the order in which it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.ingress import INGRESS_CONTROLLER
from tulle.model.references import BUILT_IN_CLASS, CONTROLLER

from .crds import crds
from .marks import NAMESPACE, Node, Param, Served, Unless, When
from .metadata import AGENT, OPERATOR, PEER, labels, metadata, selector
from .rbac import bindings, roles
from .workloads import agents, operator

_GATEWAY_API = "gateway.networking.k8s.io/v1"
_BUDGET_API = "policy/v1"
_OPERATOR_PRIORITY = 1_000_000_000  # the highest that is not the system's own


def parts() -> Mapping[str, tuple[Node, ...]]:
    """Objects by the part that they belong to."""
    return {
        "crds": tuple(When(Param("crds.install"), crd) for crd in crds()),
        "accounts": (
            *(_account(AGENT), _account(OPERATOR)),
            When(Param("clusterName"), _account(PEER)),
        ),
        "rbac": (*roles(), *bindings()),
        "agent": (agents(),),
        "operator": (_priority(), operator(), *_budgets()),
        "classes": _classes(),
    }


def namespace() -> Node:
    """Helm makes its own. Agents are privileged, which a namespace may be set not to admit."""
    modes = ("enforce", "audit", "warn")
    security = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in modes}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {**labels(), **security}},
    }


def everything() -> tuple[Node, ...]:
    return (namespace(), *(obj for part in parts().values() for obj in part))


def _account(name: str) -> Node:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name, NAMESPACE)}


def _priority() -> Node:
    """Above all of users', below what the cluster itself stands on."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": metadata(OPERATOR),
        "value": _OPERATOR_PRIORITY,
        "globalDefault": False,
        "description": "Tulle's operator, which writes the status of Gateways, routes and policies",
    }


def _budgets() -> tuple[Node, ...]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": selector(OPERATOR)}}
    budget: dict[str, Any] = {
        "kind": "PodDisruptionBudget",
        "metadata": metadata(OPERATOR, NAMESPACE),
        "spec": spec,
    }
    current = Served(_BUDGET_API)
    return (
        When(current, {"apiVersion": _BUDGET_API, **budget}),
        When(Unless(current), {"apiVersion": "policy/v1beta1", **budget}),  # before 1.21
    )


def _classes() -> tuple[Node, ...]:
    gateway = {
        "apiVersion": _GATEWAY_API,
        "kind": "GatewayClass",
        "metadata": metadata(BUILT_IN_CLASS),
        "spec": {"controllerName": CONTROLLER},
    }
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": metadata(BUILT_IN_CLASS),
        "spec": {"controller": INGRESS_CONTROLLER},
    }
    wanted = Param("classes.create")
    return (When(wanted, When(Served(_GATEWAY_API), gateway)), When(wanted, ingress))
