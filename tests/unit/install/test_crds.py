"""What an API server takes and refuses of Tulle's own kinds, judged by their definitions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hostile.bending import bend
from tests.hostile.bent_traffic import BENT_TRAFFIC
from tests.hostile.traffic import VALID_TRAFFIC
from tulle.install.crds import crds, without_cel
from tulle.install.schema_rules import CEL

from .schema import faults, stored

CRDS = {crd["spec"]["names"]["kind"]: crd for crd in crds()}
OURS = [obj for obj in VALID_TRAFFIC if obj["kind"] in CRDS]
BENT = {
    name: json.loads(text)
    for name, text in bend(BENT_TRAFFIC)
    if name.partition(":")[0] in CRDS and ":apiVersion#" not in name
}
# What only CEL can say, or only who reads what stands in a text: agents refuse it, and tell so.
NOT_BY_SCHEMA = {
    "spec.limit": "unknown fields are cut; kubectl says so",
    "spec.loadBalancing": "times",
    "spec.loadBalancing.hashOn.1.ttl": "times",
    "spec.outlierDetection.interval": "times",
    "spec.outlierDetection.baseEjectionTime": "times",
    "spec.outlierDetection.maxEjectionTime": "times",
    "spec.retryConstraint.budget.interval": "times",
    "spec.retryConstraint.minRetryRate.interval": "times",
    "spec.limits.0.interval": "times",
    "spec.limits.0.burst": "two numbers",
    "spec.delay.duration": "times",
    "spec.delay.percent": "more than four places",
    "spec.abort.percent": "more than four places",
    "spec.timeout": "times",
    "spec.jwt.providers.1.jwks.remote.cacheDuration": "times",
    "spec.jwt.providers.0.jwks.inline": "what stands in JSON",
    "spec.jwt": "null is cut",
    "spec.jwt.optional": "null is cut",
    "spec.external": "null is cut",
}


def schema_of(kind: str) -> dict[str, Any]:
    (version,) = CRDS[kind]["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def judged(obj: dict[str, Any]) -> list[str]:
    schema = schema_of(obj["kind"])
    return faults(stored(obj, schema), schema)


@pytest.mark.parametrize("obj", OURS, ids=lambda obj: str(obj["kind"]))
def test_valid_objects_are_taken_as_they_are(obj: dict[str, Any]) -> None:
    assert judged(obj) == []
    kept = stored(obj, schema_of(obj["kind"]))
    assert _within(obj["spec"], kept["spec"])


def _within(small: Any, large: Any) -> bool:
    """Whether nothing of `small` was cut."""
    if isinstance(small, dict):
        return all(key in large and _within(item, large[key]) for key, item in small.items())
    if isinstance(small, list):
        return len(small) == len(large) and all(map(_within, small, large))
    return bool(small == large)


def test_every_bent_object_is_refused_but_for_what_a_schema_cannot_say() -> None:
    taken = {
        name.partition(":")[2].partition("#")[0] for name, obj in BENT.items() if not judged(obj)
    }
    assert taken == set(NOT_BY_SCHEMA)
    assert len(BENT) > 250


def test_without_cel_nothing_else_is_missing() -> None:
    with_cel, plain = str(crds()), str(without_cel(list(crds())))
    assert with_cel.count(CEL) > 10
    assert CEL not in plain
    assert plain.count('"pattern"') == with_cel.count('"pattern"')


def test_status_is_a_subresource_and_helm_leaves_users_objects() -> None:
    for crd in CRDS.values():
        assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}
        assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert crd["metadata"]["name"] == f"{crd['spec']['names']['plural']}.tulle.io"


HOST: dict[str, Any] = {"addresses": ["192.0.2.1", "fd00::1"], "podCIDRs": ["10.0.0.0/24"]}
RUNS: dict[str, Any] = {
    "node": "db",
    "addresses": ["10.0.0.2"],
    "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
}


@pytest.mark.parametrize(
    ("kind", "spec", "is_good"),
    [
        ("MeshNode", HOST, True),
        ("MeshNode", {**HOST, "podCIDRs": ["10.0.0.0/24", "fd00:1::/64"]}, True),
        ("MeshNode", {**HOST, "addresses": []}, False),
        ("MeshNode", {**HOST, "addresses": ["300.0.0.1"]}, False),
        ("MeshNode", {**HOST, "podCIDRs": ["10.0.0.0/33"]}, False),
        ("MeshNode", {**HOST, "podCIDRs": ["10.0.0.0"]}, False),
        ("MeshNode", {"addresses": ["192.0.2.1"]}, False),
        ("MeshWorkload", RUNS, True),
        ("MeshWorkload", {**RUNS, "node": "No_Name"}, False),
        ("MeshWorkload", {**RUNS, "addresses": ["10.0.0.2"] * 3}, False),
        ("MeshWorkload", {**RUNS, "ports": [{"port": 0}]}, False),
        ("MeshWorkload", {**RUNS, "ports": [{"port": 1, "protocol": "SCTP"}]}, False),
        ("MeshWorkload", {**RUNS, "weight": 65536}, False),
    ],
)
def test_what_hosts_say_is_judged_by_field(kind: str, spec: dict[str, Any], is_good: bool) -> None:
    kinds = {"apiVersion": "tulle.io/v1alpha1", "kind": kind}
    assert (judged({**kinds, "metadata": {"name": "x"}, "spec": spec}) == []) == is_good
