"""Addresses go round, skip what is used, and end with a clear word."""

from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from tulle.agent.addresses import (
    POD_CIDRS,
    addresses_of,
    ingress_addresses,
    next_number,
    node_addresses,
)
from tulle.errors import Refused

SMALL = (IPv4Network("10.0.0.0/29"), IPv6Network("fd00::/64"))  # 2 … 6


def test_first_workload_comes_after_the_node() -> None:
    number = next_number(POD_CIDRS, set(), 0)
    assert addresses_of(POD_CIDRS, number) == (
        ip_address("10.244.0.2"),
        ip_address("fd00:7a11:0:244::2"),
    )
    assert node_addresses(POD_CIDRS)[0] == ip_address("10.244.0.1")


def test_freed_number_comes_last() -> None:
    last, used, taken = 0, set[int](), []
    for _ in range(12):
        last = next_number(SMALL, used, last)
        taken.append(last)
    assert taken == [2, 3, 4, 5, 6] * 2 + [2, 3]
    assert next_number(SMALL, {2, 3}, 6) == 4


def test_full_names_the_network_and_its_room() -> None:
    with pytest.raises(Refused, match=r"10\.0\.0\.0/29 has room for 5 workloads"):
        next_number(SMALL, {2, 3, 4, 5, 6}, 6)


def test_network_without_room_is_full_at_once() -> None:
    with pytest.raises(Refused, match="room for 0"):
        next_number((IPv4Network("10.0.0.0/31"),), set(), 0)


def test_the_proxy_has_an_address_that_no_workload_is_given() -> None:
    own = ingress_addresses(POD_CIDRS)
    assert [str(item) for item in own] == ["10.244.0.254", "fd00:7a11:0:244::fe"]
    everybody = set(range(2, 254))
    assert next_number(POD_CIDRS, everybody - {253}, 0) == 253
    with pytest.raises(Refused, match="room for 252 workloads"):
        next_number(POD_CIDRS, everybody, 253)
    assert ingress_addresses(SMALL) == ()
    assert ingress_addresses(()) == ()
