"""Wrong types, told in the user's words; each through the whole parser."""

import json

import pytest

from tests.hostile.valid import POLICY, SERVICE
from tulle.edges.manifests import parse
from tulle.edges.manifests.schema import type_of, without_nulls
from tulle.model.kubernetes import Service


def error_of(base: dict[str, object], **spec: object) -> str:
    document = {**base, "spec": {**base["spec"], **spec}}  # type: ignore[dict-item]
    (bad,) = parse(json.dumps(document).encode(), "f").errors
    return str(bad.error).split(": ", 1)[1]


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"ports": "80"}, "spec.ports: must be a list, not text"),
        ({"ports": [{"port": "80"}]}, "spec.ports[0].port: must be a whole number, not text"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: must be at least 1"),
        ({"ports": [{"port": 70000}]}, "spec.ports[0].port: must be at most 65535"),
        ({"ports": [{"name": "x"}]}, "spec.ports[0].port: is required"),
        ({"ports": [{"prot": 80}]}, "spec.ports[0].prot: is not a field: did you mean port?"),
        (
            {"ports": [{"port": 80, "protocol": "tcp"}]},
            'spec.ports[0].protocol: must be one of SCTP, TCP, UDP, not "tcp"',
        ),
        (
            {"ports": [{"port": 80, "targetPort": True}]},
            "spec.ports[0].targetPort: must be a whole number or text, not true or false",
        ),
        (
            {"selector": {"a": "b", "version": 1.1}},
            "spec.selector.version: must be text, not a number with a fraction: put it in quotes",
        ),
        ({"selector": {"a": None}}, "spec.selector.a: must be text, not nothing"),
        (
            {"publishNotReadyAddresses": 1},
            "spec.publishNotReadyAddresses: must be true or false, not a whole number",
        ),
        ({"zzz": 1}, "spec.zzz: is not a field, or not one that Tulle accepts"),
    ],
)
def test_wording(spec: dict[str, object], error: str) -> None:
    assert error_of(SERVICE, **spec) == error


def test_null_in_a_policy_is_an_error() -> None:
    reason = "is null: give it a value ([] or {} for an empty one), or leave it out"
    assert error_of(POLICY, ingress=[{"from": None}]) == f"spec.ingress[0].from: {reason}"


def test_null_elsewhere_is_absent_except_in_maps_of_text() -> None:
    value = {"metadata": {"labels": {"a": None}, "annotations": None}, "spec": None, "zzz": None}
    assert without_nulls(value, type_of(Service)) == {
        "metadata": {"labels": {"a": None}},
        "zzz": None,
    }
