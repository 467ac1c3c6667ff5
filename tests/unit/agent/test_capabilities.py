"""What a runtime passes on of what a pod asks for, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.agent.capabilities import check_supported, mappings_of, with_mappings
from tulle.errors import Refused
from tulle.model.kubernetes import ContainerPort


def test_a_mapping_is_a_port_of_the_node() -> None:
    given = [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 53, "protocol": "UDP", "hostIP": "2001:db8:0::1"},
        {"hostPort": 0, "containerPort": 9},
    ]
    assert mappings_of({"portMappings": given}) == (
        ContainerPort(80, "", "TCP", 8080),
        ContainerPort(53, "", "UDP", 53, "2001:db8::1"),
    )
    assert mappings_of({}) == mappings_of({"portMappings": None}) == ()


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ({"hostPort": 70000}, r"portMappings\[0\].hostPort: 70000 is no port"),
        ({"hostPort": 1, "containerPort": -1}, r"\[0\].containerPort: -1 is no port"),
        ({"hostPort": 1, "hostIP": "x"}, r"\[0\].hostIP: x is no address"),
        ({"hostPort": 1, "protocol": "icmp"}, r"portMappings\[0\].protocol: Invalid enum"),
        ({"hostPort": 1, "masquerade": True}, r"portMappings\[0\]: Object contains unknown"),
    ],
)
def test_a_bad_mapping_is_refused_by_its_place(mapping: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        mappings_of({"portMappings": [mapping]})


def test_what_is_not_known_is_refused_only_if_a_pod_uses_it() -> None:
    check_supported({"mac": "", "ips": None, "portMappings": [{"hostPort": 80}]})
    with pytest.raises(Refused, match="mac: not supported"):
        check_supported({"mac": "02:00:00:00:00:01"})


def test_a_port_that_a_pod_names_itself_is_mapped_once() -> None:
    own = (ContainerPort(80, "http", "TCP", 8080),)
    mapped = (ContainerPort(80, "", "TCP", 8080), ContainerPort(80, "", "UDP", 8080))
    assert with_mappings(own, mapped) == (*own, mapped[1])
