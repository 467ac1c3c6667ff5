"""The C decision, on a running node's maps: what its programs would say of a new connection."""

from __future__ import annotations

import os
from ipaddress import ip_address

from tulle import abi
from tulle.abi import DecideOp, EndpointFlag, Hook, NodeFlag
from tulle.compile.parts import packed
from tulle.edges.bpf import syscall
from tulle.edges.bpf.loader import Objects
from tulle.model.paths import NodePaths

PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58}


class Judge:
    """Attached to nothing; `close` lets go of the maps."""

    def __init__(self, node: str) -> None:
        self._objects = Objects(NodePaths(node).bpffs)
        self._decide = self._objects.load("decide", ("decide",))["decide"]

    def judge(self, source: str, target: str, protocol: str, port: int) -> abi.Verdict:
        """Ends are addresses, `target` that of a backend; of ICMP `port` is the type."""
        src, dst = (packed(ip_address(text)) for text in (source, target))
        flow = self._seen_at(src, dst)._replace(
            src=src, dst=dst, sport=40000, dport=port, proto=PROTOCOLS[protocol]
        )
        args = abi.DecideArgs(flow=flow, op=DecideOp.JUDGE).pack()
        _, answer, _ = syscall.test_run(self._decide, data=args, data_out=len(args))
        return abi.DecideArgs.unpack(answer).verdict

    def _seen_at(self, src: bytes, dst: bytes) -> abi.Flow:
        """The first hook of this node that such a packet passes, and what it is seen with."""
        source, target = self._endpoint(src), self._endpoint(dst)
        if source.flags & EndpointFlag.WORKLOAD:
            return abi.Flow(ifindex=source.ifindex, hook=Hook.FROM_WORKLOAD)
        if source.flags & EndpointFlag.HOST and target.flags & EndpointFlag.WORKLOAD:
            return abi.Flow(ifindex=target.ifindex, hook=Hook.TO_WORKLOAD)
        if source.flags & EndpointFlag.HOST:
            return abi.Flow(hook=Hook.TO_UPLINK)
        state = abi.State.unpack(self._objects.maps["state"][bytes(4)])
        if source.flags & EndpointFlag.REMOTE and state.flags & NodeFlag.VXLAN:
            return abi.Flow(hook=Hook.FROM_OVERLAY, vni=source.vni)
        return abi.Flow(hook=Hook.FROM_UPLINK)

    def _endpoint(self, address: bytes) -> abi.Endpoint:
        try:
            return abi.Endpoint.unpack(self._objects.maps["endpoints"][address])
        except KeyError:
            return abi.Endpoint()

    def close(self) -> None:
        os.close(self._decide)
        self._objects.close()
