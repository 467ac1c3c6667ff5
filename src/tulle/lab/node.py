"""A node of the lab: a network namespace with a node's own state, cgroup and bpffs directory.

`destroy` takes any node, the machine's own too, and removes what carries that node's name and
nothing else. The node's agent must have ended before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress

from tulle.agent.addresses import POD_CIDRS, node_addresses
from tulle.agent.withdraw import withdraw
from tulle.agent.workloads import Workloads
from tulle.edges import netlink, netns
from tulle.edges.bpf import bpffs
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.errors import Refused
from tulle.model.paths import LOCAL, NodePaths
from tulle.model.world import IPNetwork

from .cluster import Cluster, Member, cluster_of


def create_in(
    cluster: Cluster, node: str, pod_cidrs: Sequence[IPNetwork] = ()
) -> tuple[NodePaths, Member]:
    """Make a node that is connected to the others of its cluster; one that exists stays.

    Raises Refused for a bad name, one that another cluster has, or a full cluster; KernelError.
    """
    paths = NodePaths(node)
    member = cluster.join(node, pod_cidrs)
    create(node, member.cidrs)
    assert paths.netns
    cluster.connect(node, paths.netns)
    return paths, member


def create(node: str, pod_cidrs: Sequence[IPNetwork] = POD_CIDRS) -> NodePaths:
    """Make a node that routes between its workloads; one that exists stays.

    Raises Refused for a bad name, KernelError, and Broken if there is no bpffs.
    """
    paths = NodePaths(node)
    if paths.netns is None:
        raise Refused(f"node {LOCAL!r} is the machine itself; give the lab's node another name")
    netns.create(paths.netns)
    netns.run_in(paths.netns, lambda: _configure(pod_cidrs))
    bpffs.mount()
    paths.bpffs.mkdir(mode=0o700, parents=True, exist_ok=True)
    NodeCgroup(find_mount(), paths.cgroup).make()
    return paths


def destroy(node: str) -> None:
    """Remove everything of a node. Idempotent. Raises Refused, Unavailable or KernelError."""
    paths = NodePaths(node)
    cgroups = NodeCgroup(find_mount(), paths.cgroup)
    withdraw(paths)
    if paths.netns is None:  # elsewhere all ends with the node's namespace, much faster
        workloads = Workloads(paths.state, cgroups, None)
        workloads.recover()
        for key in workloads.all():
            workloads.delete(key)
        netlink.dismantle()
    cgroups.remove(cgroups.root)
    if (cluster := cluster_of(node)) is not None:
        cluster.leave(node)
    netns.delete_all(paths.namespaces)
    for directory in (paths.bpffs, paths.state, paths.durable):
        if directory.exists():
            shutil.rmtree(directory)
        with suppress(OSError):  # other nodes' are there
            directory.parent.rmdir()


def enter_host(paths: NodePaths) -> None:
    """Make the calling process one of the node's own, for which its services hold.

    Raises KernelError.
    """
    group = NodeCgroup(find_mount(), paths.cgroup).make("host")
    (group / "cgroup.procs").write_text(str(os.getpid()))


def nodes() -> list[str]:
    """Names of the nodes that have left something on this machine."""
    run = NodePaths().state.parent
    return sorted(path.name for path in run.iterdir()) if run.exists() else []


def _configure(pod_cidrs: Sequence[IPNetwork]) -> None:
    netlink.sysctl("ipv4/ip_forward", "1")
    netlink.sysctl("ipv6/conf/all/forwarding", "1")
    # all is what counts; on an interface it means to join the all-routers group, and report it
    netlink.sysctl("ipv6/conf/default/forwarding", "0")
    netlink.set_up_loopback(node_addresses(pod_cidrs))
