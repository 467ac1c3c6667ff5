"""The node's place in the network: uplink, overlay, routes to other nodes, made as they should be.

Methods block for some milliseconds and may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock

from tulle import abi
from tulle.abi import NodeFlag
from tulle.compile.parts import packed
from tulle.edges import netlink, netns
from tulle.edges.bpf.datapath import Role
from tulle.edges.cgroup import identify
from tulle.edges.netlink import Route, Uplink
from tulle.errors import KernelError, Refused
from tulle.model.world import IPAddress, Node

from .addresses import ingress_addresses, node_addresses
from .options import NodeOptions
from .routes import routes_of

HOSTNAME_LABEL = "kubernetes.io/hostname"


class Network:
    """`node_netns` None is the caller's own."""

    def __init__(self, node_netns: Path | None, options: NodeOptions) -> None:
        self._netns, self._options = node_netns, options
        self._settings = options.settings
        self.uplink: Uplink | None = None
        self.overlay = 0  # its ifindex, 0 as long as there is none
        self._trouble: list[str] = []  # with the uplink
        self._unrouted: list[str] = []
        self._addresses: tuple[IPAddress, ...] = ()
        # what the routes were made for; None: look at them again
        self._connected: tuple[Node, Mapping[str, Node]] | None = None
        # what the ways to the proxy were made for; None: look at them again
        self._steered: tuple[frozenset[IPAddress] | None] | None = None
        self._has_proxy: tuple[frozenset[IPAddress] | None] | None = None  # what was asked last
        self._lock = Lock()
        self._asking = Lock()  # of the two above, and for no time

    def refresh(self) -> None:
        """Look again at what others may have changed of interfaces. What fails is in `problems`."""
        try:
            netns.run_in(self._netns, self._refresh)
        except (Refused, KernelError) as error:
            self._trouble = [str(error)]
        else:
            self._trouble = []

    def _refresh(self) -> None:
        by_index = netlink.own_addresses()
        # Without a default route for a while it is the uplink still: no hook may leave it open.
        known = self.uplink.name if self.uplink else ""
        name = self._options.uplink or netlink.default_device() or known
        uplink, overlay = netlink.uplink(name, by_index) if name else None, self.overlay
        if uplink:
            netlink.forward_from(uplink)
            if not self._settings.chained:
                overlay = netlink.make_overlay(self._overlay_mtu(uplink))
                by_index = self._with_own(by_index, overlay)
        addresses = tuple(sorted({a for some in by_index.values() for a in some}, key=str))
        with self._lock:
            if (uplink, overlay, addresses) != (self.uplink, self.overlay, self._addresses):
                self._connected = self._steered = None
            self.uplink, self.overlay, self._addresses = uplink, overlay, addresses

    def _with_own(
        self, by_index: dict[int, tuple[IPAddress, ...]], overlay: int
    ) -> dict[int, tuple[IPAddress, ...]]:
        """Give the node the addresses by which others know it.

        Of one that it cannot have, without IPv6 say, routes tell that need it. Raises KernelError.
        """
        have = {address for some in by_index.values() for address in some}
        missing = [a for a in node_addresses(self._options.pod_cidrs) if a not in have]
        for address in missing:
            with suppress(KernelError):
                netlink.add_own_address(overlay, address)
        return netlink.own_addresses() if missing else by_index

    def mend(self) -> None:
        """Put back of routes and rules what others have changed. What fails, the next pass tries.

        For a thousand nodes that takes some hundredths of a second, for which no pass waits.
        """
        with self._lock:
            if self._connected is not None:
                self._route(*self._connected)
            with self._asking:
                asked = self._has_proxy
                if asked == (None,) and self._steered != (None,):
                    self._steered = None  # who asks for ways from now on waits
            # where there is nothing to lead and nothing led, nobody is to wait for it
            if asked is not None and not asked == self._steered == (None,):
                try:
                    self._lead(*asked)
                except KernelError:
                    self._steered = None

    @property
    def problems(self) -> list[str]:
        return self._trouble + self._unrouted

    @property
    def interfaces(self) -> dict[int, Role]:
        """Those besides the workloads' that packets of the mesh go through."""
        found: dict[int, Role] = {self.uplink.ifindex: "host"} if self.uplink else {}
        return {**found, self.overlay: "overlay"} if self.overlay else found

    @property
    def workload_mtu(self) -> int:
        """Bytes of the largest packet that a workload may send."""
        if self.uplink is None:
            return netlink.MTU
        if self._settings.routing == "vxlan" or self._settings.load_balancing == "dsr":
            return self._overlay_mtu(self.uplink)
        return self.uplink.mtu

    def _overlay_mtu(self, uplink: Uplink) -> int:
        versions = {address.version for address in uplink.addresses}
        return netlink.overlay_mtu(uplink.mtu, 4 if 4 in versions else 6)

    def node(self) -> Node:
        """This node with all of its addresses."""
        return self._node(self._addresses)

    def published(self) -> Node:
        """This node as others may know it: where they reach it, and where its own packets come
        from when they go through the overlay."""
        uplink = self.uplink.addresses if self.uplink else ()
        return self._node((*uplink, *node_addresses(self._options.pod_cidrs)))

    def _node(self, addresses: tuple[IPAddress, ...]) -> Node:
        uplink = self.uplink.addresses if self.uplink else ()
        return Node(
            name=self._options.name,
            addresses=addresses,
            service_cidrs=self._options.service_cidrs,
            labels={HOSTNAME_LABEL: self._options.name, **self._options.labels},
            pod_cidrs=self._options.pod_cidrs,
            underlay=min(uplink, key=lambda address: address.version, default=None),
            ingress=ingress_addresses(self._options.pod_cidrs),
        )

    def state(
        self, proxy: Path | None = None, *, limited: bool = False, left: bool = False
    ) -> abi.State:
        """What the programs must know of the node; the epoch is the datapath's own.

        `proxy` is the cgroup of the node's proxy; `limited` if any workload's bandwidth is;
        `left` if the short circuit was on with programs before these.
        """
        found: dict[int, IPAddress] = {}
        for address in self.uplink.addresses if self.uplink else ():
            found.setdefault(address.version, address)
        flags = NodeFlag.VXLAN if self._settings.routing == "vxlan" else 0
        if self._settings.load_balancing == "dsr":
            flags |= NodeFlag.DSR
        flags |= NodeFlag.BANDWIDTH if limited else 0
        flags |= NodeFlag.CHAINED if self._settings.chained else 0
        flags |= NodeFlag.SHORT if self._settings.short_circuit else 0
        flags |= NodeFlag.SHORT_LEFT if left else 0
        if self._settings.masquerade:
            flags |= NodeFlag.MASQUERADE_4 if 4 in found else 0
            flags |= NodeFlag.MASQUERADE_6 if 6 in found else 0
        first, last = self._settings.nat_ports
        none = bytes(16)
        ingress = {item.version: item for item in ingress_addresses(self._options.pod_cidrs)}
        itself = found | ingress
        proxy_cgroup, proxy_level = identify(proxy) if proxy else (0, 0)
        return abi.State(
            flags=flags,
            overlay_ifindex=self.overlay,
            nat_port_first=first,
            nat_port_last=last,
            node_4=packed(found[4]) if 4 in found else none,
            node_6=packed(found[6]) if 6 in found else none,
            proxy_cgroup=proxy_cgroup,
            proxy_level=proxy_level,
            self_4=packed(itself[4]) if 4 in itself else none,
            self_6=packed(itself[6]) if 6 in itself else none,
        )

    def connect(self, node: Node, nodes: Mapping[str, Node]) -> None:
        """Make the routes to other nodes' workloads, and no others. What fails is in `problems`."""
        before = self._connected
        if before is not None and before[0] is node and before[1] is nodes:
            return
        with self._lock:
            self._route(node, nodes)

    def _route(self, node: Node, nodes: Mapping[str, Node]) -> None:
        wanted, problems = routes_of(node, nodes, self._settings, self.uplink, self.overlay)
        try:
            failed = netns.run_in(self._netns, partial(_reconcile, wanted))
        except KernelError as error:
            failed = [str(error)]
        self._unrouted = problems + failed
        self._connected = None if failed else (node, nodes)

    def steer(self, addresses: frozenset[IPAddress] | None) -> None:
        """Let the node's proxy have what is for these addresses, and what packet programs give it.

        None: there is nothing for it, and no packet is to pay for it. What was there for the last
        connections stays until the next `mend`. Raises KernelError.
        """
        with self._asking:
            self._has_proxy = (addresses,)
            if self._steered == (addresses,) or (addresses is None and self._steered):
                return
        with self._lock:
            self._lead(addresses)

    def _lead(self, addresses: frozenset[IPAddress] | None) -> None:
        """Raises KernelError."""
        if addresses is None:
            netns.run_in(self._netns, netlink.unsteer)
        else:
            # Its own too: what enforces rules answers it on this node.
            all_of_it = addresses | frozenset(ingress_addresses(self._options.pod_cidrs))
            own = {item: self._own_source(item.version) for item in all_of_it}
            sources = {item: source for item, source in own.items() if source}
            netns.run_in(self._netns, partial(netlink.steer, sources))
        self._steered = (addresses,)

    def _own_source(self, version: int) -> IPAddress | None:
        """An address of this node that every other one answers."""
        known = (*node_addresses(self._options.pod_cidrs), *self.published().addresses)
        return next((a for a in known if a.version == version and a in self._addresses), None)

    def dismantle(self) -> None:
        """Take out what a namespace that lives on would keep. Raises KernelError."""
        netns.run_in(self._netns, netlink.dismantle)


def _reconcile(wanted: set[Route]) -> list[str]:
    """Make the namespace's routes these; what could not be done, in words."""
    have = netlink.read_routes()
    problems = []
    for route in sorted(wanted - have, key=str):
        try:
            netlink.put_routes([route])
        except KernelError as error:
            problems.append(str(error))
    kept = {route.dst for route in wanted}  # to these, what was there has been replaced
    netlink.delete_routes(route for route in have if route.dst not in kept)
    return problems
