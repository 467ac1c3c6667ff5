"""What `tulle lab up` decides: the cluster, and the arguments of its nodes' agents."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.errors import Refused, UsageError
from tulle.model.world import IPNetwork

from . import node
from .cluster import Cluster, cluster_of, clusters


def choose_cluster(name: str | None, nodes: Sequence[str]) -> Cluster:
    """The one named, or the first node's, or a new one of its name."""
    if name is not None:
        return Cluster(name)
    return cluster_of(nodes[0]) or Cluster(nodes[0])


def find_cluster(name: str | None, member: str = "") -> Cluster:
    """The one named, else that of the node `member`, else the only one.

    Raises Refused, UsageError if it is not clear which.
    """
    every = clusters()
    found = [cluster for cluster in every if name in (None, cluster.name)]
    names = ", ".join(cluster.name for cluster in every)
    if not found:
        others = f"there are {names}" if every else "make one with `tulle lab up NAME...`"
        raise Refused(f"there is no cluster{f' {name!r}' if name else ''}: {others}")
    if name is None and (own := cluster_of(member)):
        return own
    if len(found) > 1:
        raise UsageError(f"there are several clusters: choose one of {names} with --cluster")
    return found[0]


def shared_arguments(cluster: Cluster, nodes: Sequence[str], given: Sequence[str]) -> list[str]:
    """What all agents of the cluster are started with: `given`, or what it has.

    Raises UsageError if they differ and another node of the cluster keeps the old ones.
    """
    others = {name: item for name, item in cluster.members().items() if name not in nodes}
    before = next(iter(others.values()), None) or next(iter(cluster.members().values()), None)
    if not given and before is not None:
        return list(before.shared)
    if others and before is not None and tuple(given) != before.shared:
        has = " ".join(before.shared) or "no options"
        raise UsageError(f"cluster {cluster.name!r} has {has}: the same on every node")
    return list(given)


def make(
    cluster: Cluster, name: str, cidrs: Sequence[IPNetwork], shared: Sequence[str], own: list[str]
) -> list[str]:
    """A node of the cluster, without its agent; the arguments of `tulle up` for that."""
    _, member = node.create_in(cluster, name, cidrs)
    own = own or list(member.own)
    cluster.remember(name, shared, own)
    given = () if "--cni-chained" in shared else member.pod_cidrs
    ranges = [word for cidr in given for word in ("--pod-cidr", cidr)]
    # In a Kubernetes cluster the API server has what nodes share.
    place = [] if "--kubernetes" in shared else ["--cluster-dir", str(cluster.directory)]
    return [*place, *ranges, *shared, *own]
