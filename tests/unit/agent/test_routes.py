"""Routes to other nodes' workloads, by mode and family."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from tulle.agent.routes import routes_of
from tulle.edges.netlink import Route, Uplink
from tulle.model.world import Node, Settings

POD_4, POD_6 = ip_network("10.244.1.0/24"), ip_network("fd00:7a11:0:244:1::/80")
OWN = Node(
    "a",
    (ip_address("192.0.2.1"), ip_address("2001:db8::1")),
    pod_cidrs=(ip_network("10.244.0.0/24"), ip_network("fd00:7a11:0:244::/80")),
)
OTHER = Node(
    "b",
    (ip_address("192.0.2.2"), ip_address("10.244.1.1"), ip_address("2001:db8::2")),
    pod_cidrs=(POD_4, POD_6),
    underlay=ip_address("192.0.2.2"),
)
UPLINK = Uplink("eth0", 7, 1500, OWN.addresses)
NATIVE, VXLAN = Settings(), Settings(routing="vxlan")
NOBODY = {Route(cidr) for cidr in OWN.pod_cidrs}


def test_native_goes_by_the_other_nodes_own_addresses() -> None:
    assert routes_of(OWN, {"b": OTHER}, NATIVE, UPLINK, 9) == (
        NOBODY
        | {
            Route(POD_4, 7, ip_address("192.0.2.2")),
            Route(POD_6, 7, ip_address("2001:db8::2")),
        },
        [],
    )


def test_vxlan_goes_by_the_overlay_from_the_nodes_address_there() -> None:
    assert routes_of(OWN, {"b": OTHER}, VXLAN, UPLINK, 9) == (
        NOBODY
        | {
            Route(POD_4, 9, src=ip_address("10.244.0.1")),
            Route(POD_6, 9, src=ip_address("fd00:7a11:0:244::1")),
        },
        [],
    )


def test_a_range_that_cannot_be_reached_is_told() -> None:
    four = replace(OTHER, addresses=OTHER.addresses[:2])
    routes, problems = routes_of(OWN, {"b": four}, NATIVE, UPLINK, 9)
    assert routes == NOBODY | {Route(POD_4, 7, ip_address("192.0.2.2"))}
    assert problems == [
        f"no route to the workloads of node b in {POD_6}: a node's uplink has no IPv6 address"
    ]
    apart = replace(OTHER, underlay=None)
    routes, problems = routes_of(OWN, {"b": apart}, VXLAN, UPLINK, 9)
    assert routes == NOBODY and len(problems) == 2 and "no common family" in problems[0]
    routes, problems = routes_of(OWN, {"b": OTHER}, NATIVE, None, 0)
    assert routes == NOBODY and "this node has no uplink" in problems[0]
