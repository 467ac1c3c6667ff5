"""Blocks: which of them are around an address, and the prefixes at which that changes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from random import Random

import pytest

from tulle.compile.blocks import Blocks, Prefixes, block_name, borders
from tulle.compile.rules import Cidr


def block(cidr: str, *excluded: str) -> Cidr:
    return Cidr(
        ip_network(cidr, strict=False),
        tuple(ip_network(item, strict=False) for item in excluded),
    )


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ("192.0.2.0/24", True),
        ("192.0.2.7/32", True),
        ("192.0.2.128/25", False),
        ("192.0.2.200/32", False),
        ("192.0.0.0/16", False),
        ("::/0", False),
        ("::ffff:192.0.2.7/128", False),
    ],
)
def test_a_block_contains_what_lies_in_it_and_in_no_exception(place: str, inside: bool) -> None:
    blocks = Blocks([block("192.0.2.0/24", "192.0.2.128/25")])
    assert bool(blocks.around(ip_network(place))) is inside


def test_blocks_are_the_same_however_they_are_written() -> None:
    one = block("192.0.2.9/24", "192.0.2.128/25", "192.0.2.0/30")
    two = block("192.0.2.0/24", "192.0.2.1/30", "192.0.2.128/25", "192.0.2.0/30")
    assert block_name(one) == block_name(two) == "192.0.2.0/24 except 192.0.2.0/30,192.0.2.128/25"


def test_what_is_around_an_address_is_what_a_look_at_every_block_finds() -> None:
    rng = Random(1)
    some = [
        f"10.0.{rng.randint(0, 3)}.{rng.randint(0, 255)}/{rng.randint(16, 32)}" for _ in "x" * 60
    ]
    blocks = [block(*rng.sample(some, rng.randint(1, 4))) for _ in range(40)]
    found = Blocks(blocks)
    for _ in range(500):
        address = ip_address(f"10.0.{rng.randint(0, 4)}.{rng.randint(0, 255)}")
        expected = {
            block_name(item)
            for item in blocks
            if address in item.cidr and not any(address in hole for hole in item.excluded)
        }
        assert set(found.around(address)) == expected


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ((), set()),
        (("192.0.2.0/24", "192.0.2.128/25"), {"192.0.2.0/24", "192.0.2.128/25"}),
        (("0.0.0.0/0",), {"0.0.0.0/0"}),
        # an IPv6 block around the mapped addresses must not reach into IPv4
        (("::/0",), {"::/0", "0.0.0.0/0"}),
        (("::ffff:0:0/96",), {"0.0.0.0/0"}),
        (("::ffff:10.0.0.0/104",), set()),
    ],
)
def test_an_ipv6_prefix_does_not_reach_into_ipv4(
    networks: tuple[str, ...], expected: set[str]
) -> None:
    assert {str(item) for item in borders(map(ip_network, networks))} == expected


def test_the_longest_prefix_comes_first() -> None:
    names = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0")
    prefixes = Prefixes({ip_network(name): name for name in names})
    assert list(prefixes.around(ip_address("10.1.2.3"))) == [names[2], names[1], names[0]]
    assert list(prefixes.around(ip_network("10.1.0.0/16"))) == [names[1], names[0]]
    assert list(prefixes.around(ip_address("fd00::1"))) == ["::/0"]
