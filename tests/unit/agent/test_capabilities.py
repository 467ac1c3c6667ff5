"""What a runtime passes on of what a pod asks for, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.agent.capabilities import (
    bandwidth_of,
    check_supported,
    either,
    mappings_of,
    with_mappings,
)
from tulle.errors import Refused
from tulle.model.bandwidth import Bandwidth, Limit
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


def test_bandwidth_is_in_bits_and_a_runtime_that_knows_no_burst_names_none() -> None:
    given = {"ingressRate": 8000, "ingressBurst": 2**32 - 1, "egressRate": 10**6}
    asked = bandwidth_of({"bandwidth": {**given, "egressBurst": 64000}})
    assert asked == Bandwidth(Limit(8000), Limit(10**6, 64000))
    assert not bandwidth_of({}) and not bandwidth_of({"bandwidth": {"ingressRate": 0}})
    own = Bandwidth(egress=Limit(5000))
    assert either(own, asked) == Bandwidth(Limit(8000), Limit(5000))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"ingressRate": 999}, r"bandwidth\.ingressRate: must be from 1000"),
        ({"egressRate": 10**16}, r"bandwidth\.egressRate: must be"),
        ({"egressRate": 10**4, "egressBurst": -1}, r"egressBurst: must not be negative"),
        ({"egressRate": "1M"}, r"bandwidth\.egressRate: Expected"),
        ({"latency": 1}, "bandwidth: Object contains unknown"),
    ],
)
def test_a_bad_bandwidth_is_refused_by_its_field(given: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        bandwidth_of({"bandwidth": given})


def test_what_is_not_known_is_refused_only_if_a_pod_uses_it() -> None:
    check_supported({"mac": "", "ips": None, "portMappings": [{"hostPort": 80}]})
    with pytest.raises(Refused, match="mac: not supported"):
        check_supported({"mac": "02:00:00:00:00:01"})


def test_a_port_that_a_pod_names_itself_is_mapped_once() -> None:
    own = (ContainerPort(80, "http", "TCP", 8080),)
    mapped = (ContainerPort(80, "", "TCP", 8080), ContainerPort(80, "", "UDP", 8080))
    assert with_mappings(own, mapped) == (*own, mapped[1])
