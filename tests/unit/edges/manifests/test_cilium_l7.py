"""What rules of layer 7 may stand beside, with errors in the user's words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tulle.edges.manifests.cilium_l7 import check_layer7
from tulle.errors import ManifestError
from tulle.model.cilium import CiliumRule

TCP = [{"port": "80", "protocol": "TCP"}]
HTTP = {"http": [{"path": "/a"}]}


def check(item: dict[str, Any], direction: str = "ingress", subject: str = "endpoint") -> None:
    spec = {f"{subject}Selector": {}, direction: [{}, {"toPorts": [{"ports": TCP} | item]}]}
    check_layer7(msgspec.convert(spec, CiliumRule), "spec")


@pytest.mark.parametrize(
    ("item", "direction"),
    [
        ({}, "ingress"),
        ({"rules": {}}, "ingress"),
        ({"rules": HTTP}, "ingress"),
        ({"rules": HTTP}, "egress"),
        ({"rules": {"http": [{}]}}, "egress"),
        ({"rules": HTTP, "ports": [{"port": "80", "endPort": 90, "protocol": "TCP"}]}, "ingress"),
        ({"rules": HTTP, "ports": [{"port": "http", "protocol": "TCP"}]}, "ingress"),
        ({"rules": {"http": [{"path": "("}]}}, "ingress"),  # refused alone, where it is translated
        ({"rules": {"dns": [{"matchPattern": "*"}]}, "ports": [{"port": "53"}]}, "egress"),
        ({"serverNames": ["a.example"]}, "egress"),
        ({"serverNames": ["a.example"], "ports": [{"protocol": "TCP"}]}, "egress"),
    ],
)
def test_accepted(item: dict[str, Any], direction: str) -> None:
    check(item, direction)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (
            {"rules": {"http": []}},
            "rules.http: is empty: say [{}] to allow every request, or leave rules out",
        ),
        ({"rules": {"http": [{}] * 257}}, "rules.http: holds more than 256"),
        (
            {"rules": {"kafka": [{"role": "produce"}]}},
            "rules.kafka: is not supported: Cilium gave it up as well",
        ),
        (
            {"rules": {"l7proto": "a"}},
            "rules.l7proto: is not supported: there are no parsers of one's own",
        ),
        ({"rules": {"dns": [{"matchName": "a"}]}}, "rules.dns: DNS rules are for egress"),
        (
            {"rules": HTTP, "ports": []},
            "ports: is required beside rules of layer 7",
        ),
        (
            {"rules": HTTP, "ports": [*TCP, {"port": "81", "protocol": "UDP"}]},
            "ports[1].protocol: must be TCP, not UDP, beside rules of layer 7",
        ),
        (
            {"rules": HTTP, "ports": [{"port": "80"}]},
            "ports[0].protocol: must be TCP, not ANY, beside rules of layer 7",
        ),
        (
            {"rules": HTTP, "ports": [{"port": "0", "protocol": "TCP"}]},
            "ports: HTTP rules cannot be for every port",
        ),
        (
            {"rules": HTTP, "serverNames": ["a"]},
            "serverNames: cannot stand beside rules: what is in TLS is not read",
        ),
        (
            {"serverNames": ["a"], "ports": [{"port": "443", "protocol": "SCTP"}]},
            "ports[0].protocol: must be TCP, not SCTP, beside rules of layer 7",
        ),
    ],
)
def test_refused(item: dict[str, Any], reason: str) -> None:
    with pytest.raises(ManifestError) as caught:
        check(item)
    assert str(caught.value) == f"spec.ingress[1].toPorts[0].{reason}"


def test_two_kinds_of_rules_do_not_mix() -> None:
    with pytest.raises(ManifestError, match="cannot stand beside http"):
        check({"rules": HTTP | {"dns": [{"matchName": "a"}]}}, "egress")


@pytest.mark.parametrize("item", [{"rules": HTTP}, {"serverNames": ["a"]}])
def test_nodes_have_none(item: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="not supported in policies that select nodes"):
        check(item, subject="node")
