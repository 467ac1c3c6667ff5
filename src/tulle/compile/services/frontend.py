"""What clients of a service connect to, and where that leads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from tulle.model.kubernetes import ObjectRef
from tulle.model.world import IPAddress, IPNetwork

# As an address in a service key: every address of every node, of that family.
ANY_NODE: dict[int, IPAddress] = {4: IPv4Address("0.0.0.0"), 6: IPv6Address("::")}  # noqa: S104


class Kind(Enum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    EXTERNAL_IP = "ExternalIP"
    LOAD_BALANCER = "LoadBalancer"
    HOST_PORT = "HostPort"


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """Where connections of one service port may go; `weight` is relative, `node` "" is unknown."""

    address: str
    port: int
    weight: int = 1
    workload: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Face:
    """An address and port that a service answers on, before anybody looks for its backends.

    `port` is the one that clients name, `service_port` the Service's own. `address` None is every
    address of every node.
    """

    kind: Kind
    address: IPAddress | None
    family: int  # 4 or 6
    port: int
    protocol: str
    service_port: int

    def __str__(self) -> str:
        if self.address is None:
            return f"nodePort {self.port}/{self.protocol}"
        host = f"[{self.address}]" if self.family == 6 else str(self.address)
        return f"{host}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Frontend:
    """`internal` is for sockets of this node, `external` for what comes in by its uplink.

    `local`: those of this node alone, for what another node sends on with its source address kept.
    `source_ranges` None lets everybody in.
    """

    service: ObjectRef  # of a hostPort the Pod
    face: Face
    affinity_s: int = 0
    maglev: bool = False
    source_ranges: tuple[IPNetwork, ...] | None = None
    internal: tuple[Backend, ...] = ()
    external: tuple[Backend, ...] = ()
    local: tuple[Backend, ...] = ()
    internal_local: bool = False  # the policy, not whether all of them happen to be
    proxied: bool = False  # the node's proxy takes the connections, and chooses the backends

    @property
    def kind(self) -> Kind:
        return self.face.kind

    @property
    def address(self) -> IPAddress | None:
        return self.face.address

    @property
    def port(self) -> int:
        return self.face.port

    @property
    def protocol(self) -> str:
        return self.face.protocol

    @property
    def group(self) -> str:
        """Frontends of one group share their number, and so what a client is bound to.

        Those that choose among other backends, or of another family, are another group.
        """
        of, face = self.service, self.face
        path = f"{of.namespace}/{of.name}:{face.service_port}/{face.protocol}"
        what = "hostPort " if face.kind is Kind.HOST_PORT else ""
        return f"{what}{path} IPv{face.family}{' local' if self.internal_local else ''}"

    def __str__(self) -> str:
        return f"{self.service.namespace}/{self.service.name} {self.face}"
