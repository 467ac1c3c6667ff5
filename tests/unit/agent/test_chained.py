"""What is read of a plugin's result that comes before ours."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.agent.chained import addresses_in
from tulle.errors import Refused

INTERFACES = [
    {"name": "cni0", "mac": "02:00:00:00:00:01"},
    {"name": "veth1"},
    {"name": "eth0", "sandbox": "/run/netns/x"},
    {"name": "net1", "sandbox": "/run/netns/x"},
]


def test_addresses_are_those_of_the_interface_in_the_pod() -> None:
    ips = [
        {"address": "10.66.0.2/24", "interface": 2},
        {"address": "10.99.0.2/24", "interface": 3},
        {"version": "6", "address": "fd66::2/64"},  # a result of 0.4.0 need not say where
    ]
    found = addresses_in({"interfaces": INTERFACES, "ips": ips}, "eth0")
    assert list(map(str, found)) == ["10.66.0.2", "fd66::2"]


@pytest.mark.parametrize(
    ("previous", "reason"),
    [
        ({}, r"prevResult\.interfaces: must be a list of objects"),
        ({"interfaces": ["eth0"]}, r"prevResult\.interfaces: must be a list of objects"),
        ({"interfaces": INTERFACES[:2], "ips": []}, "eth0 of the pod is not among them"),
        ({"interfaces": INTERFACES, "ips": []}, r"prevResult\.ips: none is of interface eth0"),
        ({"interfaces": INTERFACES, "ips": [{"address": "x"}]}, r"ips\[0\]\.address: x is no"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_its_field(previous: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        addresses_in(previous, "eth0")
