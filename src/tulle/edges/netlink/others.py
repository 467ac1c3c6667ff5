"""A workload's pair of interfaces that another CNI plugin made: found, and never changed but for
sysctls."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tulle.errors import Refused

from .base import index_of, rtnetlink
from .pairs import leave_ports, let_node_forward

if TYPE_CHECKING:
    from pyroute2 import IPRoute


class Found(NamedTuple):
    """The node's side, the MACs of both ends, and the bridge's ifindex, 0 for none."""

    ifindex: int
    name: str
    workload_mac: str
    node_mac: str
    bridge: int = 0


class _Link(NamedTuple):
    ifindex: int
    name: str
    kind: str
    peer: int
    master: int
    mac: str
    peer_netns: int  # the number that the other end's namespace has in this one; -1: none


Inside = tuple[_Link, int]  # and a descriptor of the namespace that it is in


def find_pair(inside: str, in_workload: Callable[[Callable[[], Inside]], Inside]) -> Found:
    """`in_workload` runs something in the workload's namespace, as `netns.run_in` does.

    Raises Refused if it is no pair to the calling thread's namespace, KernelError. Interfaces have
    numbers in each namespace: one in a third may have that of another workload's pair here.
    """
    there, namespace = in_workload(partial(_link_within, inside))
    try:
        here = _link_at(there.peer) if there.kind == "veth" else None
        leads_there = here is not None and here.peer_netns == _number_of(namespace)
    finally:
        os.close(namespace)
    if here is None or here.kind != "veth" or not leads_there or here.peer != there.ifindex:
        what = f"is a {there.kind or 'device'}, and not one end of a veth pair to this node"
        raise Refused(f"interface {inside} of the pod {what}")
    master = _link_at(here.master)
    if master is not None and master.kind != "bridge":
        raise Refused(f"interface {here.name} of the node is a port of a {master.kind}")
    return Found(here.ifindex, here.name, there.mac, here.mac, here.master)


def adopt_pair(interface: str) -> None:
    """Let the programs look up routes from it, and the node's proxy answer by it.

    Raises KernelError.
    """
    master = _link_at(_link_named(interface).master)
    let_node_forward(interface, master.name if master else "")


def _link_within(name: str) -> Inside:
    leave_ports()
    link = _link_named(name)
    return link, os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _number_of(namespace: int) -> int | None:
    """What a namespace is called in this one; an interface that leads there has had it named."""
    with rtnetlink("the pod's network namespace") as routes:
        found = routes.get_netnsid(fd=namespace)
    return found["nsid"] if found and found["nsid"] >= 0 else None


def _link_named(name: str) -> _Link:
    with rtnetlink(f"interface {name}") as routes:
        return _read(routes, index_of(name))


def _link_at(index: int) -> _Link | None:
    """None if there is none."""
    from socket import if_indextoname

    try:
        if_indextoname(index)
    except OSError:
        return None
    with rtnetlink(f"interface {index}") as routes:
        return _read(routes, index)


def _read(routes: IPRoute, index: int) -> _Link:
    (link,) = routes.get_links(index)
    info = link.get_attr("IFLA_LINKINFO")
    return _Link(
        index,
        link.get_attr("IFLA_IFNAME"),
        (info.get_attr("IFLA_INFO_KIND") if info else "") or "",
        link.get_attr("IFLA_LINK") or 0,
        link.get_attr("IFLA_MASTER") or 0,
        link.get_attr("IFLA_ADDRESS") or "",
        -1 if (netns := link.get_attr("IFLA_LINK_NETNSID")) is None else netns,
    )
