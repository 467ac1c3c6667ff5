"""Definitions of tulle.io's own kinds, with all that an API server can check. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

from msgspec import inspect

from tulle.edges.manifests.schema import versions_of
from tulle.edges.manifests.validate import CLUSTER_SCOPED
from tulle.model.kinds import KINDS
from tulle.model.traffic import TULLE_GROUP, BackendTrafficPolicy

from .metadata import labels
from .openapi import Schema, schema_of
from .rbac import plural
from .schema_rules import CEL, TARGETS, attached

_SHORT = {
    "AuthPolicy": "authpol",
    "BackendTrafficPolicy": "btpol",
    "FaultInjectionPolicy": "fault",
    "MeshNode": "meshno",
    "MeshWorkload": "meshwl",
    "RateLimitPolicy": "ratelimit",
}
_COLUMNS = {
    "MeshNode": [
        {"name": "Address", "type": "string", "jsonPath": ".spec.addresses[0]"},
        {"name": "Pod-CIDRs", "type": "string", "jsonPath": ".spec.podCIDRs"},
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        },
    ],
    "MeshWorkload": [
        {"name": "Node", "type": "string", "jsonPath": ".spec.node"},
        {"name": "Address", "type": "string", "jsonPath": ".spec.addresses[0]"},
        {"name": "Ready", "type": "boolean", "jsonPath": ".spec.ready"},
    ],
}
_TIME = {"type": "string", "format": "date-time"}
_TEXT = {"type": "string", "maxLength": 253}
_NAME = {**_TEXT, "minLength": 1}


def crds() -> tuple[dict[str, Any], ...]:
    """One for each kind of the group."""
    return tuple(
        _crd(kind)
        for kind in sorted(KINDS)
        if versions_of(KINDS[kind])[0].startswith(f"{TULLE_GROUP}/")
    )


def without_cel(value: Any) -> Any:
    """The same for servers before 1.25, which know no rules in CEL."""
    if isinstance(value, dict):
        return {key: without_cel(item) for key, item in value.items() if key != CEL}
    return [without_cel(item) for item in value] if isinstance(value, list) else value


def _crd(kind: str) -> dict[str, Any]:
    """Helm leaves it, and with it the users' objects, when the release is uninstalled."""
    name = plural(kind)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{name}.{TULLE_GROUP}",
            "labels": {**labels(), **_policy_label(kind)},
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": TULLE_GROUP,
            "scope": "Cluster" if kind in CLUSTER_SCOPED else "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": name,
                "singular": kind.lower(),
                "shortNames": [_SHORT[kind]] if kind in _SHORT else [],
                "categories": ["gateway-api", "tulle"] if _is_policy(kind) else ["tulle"],
            },
            "versions": list(_versions(kind)),
        },
    }


def _policy_label(kind: str) -> dict[str, str]:
    """By which tools know policies (GEP-713)."""
    if not _is_policy(kind):
        return {}
    way = "Direct" if KINDS[kind] is BackendTrafficPolicy else "Inherited"
    return {"gateway.networking.k8s.io/policy": way}


def _is_policy(kind: str) -> bool:
    return _spec(kind) in TARGETS


def _spec(kind: str) -> type:
    """The type of its spec."""
    found = inspect.type_info(KINDS[kind])
    assert isinstance(found, inspect.StructType)
    (spec,) = (field.type for field in found.fields if field.name == "spec")
    assert isinstance(spec, inspect.StructType)
    return spec.cls


def _versions(kind: str) -> Iterable[dict[str, Any]]:
    """The first is the one that is stored."""
    for index, version in enumerate(versions_of(KINDS[kind])):
        yield {
            "name": version.rpartition("/")[2],
            "served": True,
            "storage": index == 0,
            "schema": {"openAPIV3Schema": _schema(kind)},
            "subresources": {"status": {}},
            "additionalPrinterColumns": _columns(kind),
        }


def _columns(kind: str) -> list[dict[str, str]]:
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    if not _is_policy(kind):
        return [*_COLUMNS[kind], age]
    target = ".spec.targetRefs[0]"
    accepted = '.status.ancestors[0].conditions[?(@.type=="Accepted")].status'
    return [
        {"name": "Target", "type": "string", "jsonPath": f"{target}.name"},
        {"name": "Kind", "type": "string", "jsonPath": f"{target}.kind"},
        {"name": "Accepted", "type": "string", "jsonPath": accepted},
        age,
    ]


def _schema(kind: str) -> Schema:
    spec = _spec(kind)
    schema = schema_of(spec)
    if _is_policy(kind):
        rules, fields = attached(spec), schema["properties"]
        items = {**fields["targetRefs"]["items"], **rules["items"]}
        fields["targetRefs"] = {**fields["targetRefs"], **rules, "items": items}
    return {
        "type": "object",
        "description": cleandoc(KINDS[kind].__doc__ or ""),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": schema,
            "status": _policy_status() if _is_policy(kind) else _status(),
        },
    }


def _status() -> Schema:
    return {"type": "object", "properties": {"conditions": _conditions()}}


def _policy_status() -> Schema:
    """GEP-713's PolicyStatus."""
    reference = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "group": _TEXT,
            "kind": _TEXT,
            "namespace": _TEXT,
            "name": _NAME,
            "sectionName": _TEXT,
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        },
    }
    ancestor = {
        "type": "object",
        "required": ["ancestorRef", "controllerName"],
        "properties": {
            "ancestorRef": reference,
            "controllerName": _NAME,
            "conditions": _conditions(),
        },
    }
    ancestors = {
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "atomic",
        "items": ancestor,
    }
    properties = {"ancestors": ancestors, "conditions": _conditions()}
    return {"type": "object", "properties": properties}


def _conditions() -> Schema:
    return {
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "minLength": 1, "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": _TIME,
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
                "message": {"type": "string", "maxLength": 32768},
            },
        },
    }
