"""What an operator chooses for a node: the options of `tulle up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tulle.model.paths import LOCAL
from tulle.model.world import IPNetwork, Node, Settings, XdpMode

from .addresses import POD_CIDRS


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    """Where the API server is; without `kubeconfig` the agent runs in a pod.

    `server` goes before the one that is named there. Of the agents with `duties` one at a time
    writes what all of them know: statuses. A node that `joins` is no Node of the cluster: it tells
    of itself.
    """

    kubeconfig: Path | None = None
    server: str = ""
    duties: bool = False
    joins: bool = False


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """`workers` are threads of each Envoy that serve connections.

    Without `standby` there is one Envoy and not two: new connections wait while it starts again.
    """

    workers: int = 2
    standby: bool = True


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """`name` is the node's in the mesh, `cluster` the directory that its nodes share.

    Without `cluster` or `kubernetes` the node is alone. With the latter no `pod_cidrs` are those
    of its Node object. `uplink` "" is the device of the default route.
    """

    name: str = LOCAL
    pod_cidrs: tuple[IPNetwork, ...] = POD_CIDRS
    service_cidrs: tuple[IPNetwork, ...] = Node().service_cidrs
    labels: Mapping[str, str] = field(default_factory=dict)
    cluster: Path | None = None
    kubernetes: KubernetesOptions | None = None
    uplink: str = ""
    host_cgroups: tuple[Path, ...] = ()
    xdp: XdpMode = "off"
    proxy: ProxyOptions = field(default_factory=ProxyOptions)
    settings: Settings = field(default_factory=Settings)

    @property
    def manifests(self) -> Path | None:
        """The user's objects, where nodes share them."""
        return self.cluster / "manifests" if self.cluster else None
