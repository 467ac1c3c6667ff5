"""What plain hosts tell an API server of themselves: they are no Nodes, and no kubelet runs there.

Each host writes its own, and renews a Lease as long as it is there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from .kubernetes import Object, ObjectMeta, Port
from .references import SectionName
from .traffic import Version

_OCTET = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_V4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_V6 = "[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,7}"  # the rest is judged by whoever reads it

Address = Annotated[str, Meta(max_length=45, pattern=rf"^({_V4}|{_V6})\Z")]
Cidr = Annotated[
    str,
    Meta(max_length=49, pattern=rf"^({_V4}/(3[0-2]|[12]?[0-9])|{_V6}/(12[0-8]|1?[0-9]?[0-9]))\Z"),
]
PortName = Annotated[str, Meta(max_length=15, pattern=r"^([a-z0-9]+(-[a-z0-9]+)*)?\Z")]


class MeshNodeSpec(Object, frozen=True):
    """`addresses`: where other nodes reach it, the first of a family is the overlay's.

    `pod_cidrs`, at most one a family, are its workloads' and nobody else's.
    """

    addresses: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=16)]
    pod_cidrs: Annotated[tuple[Cidr, ...], Meta(min_length=1, max_length=2)] = field(
        name="podCIDRs"
    )


class MeshNode(Object, frozen=True):
    """A host in the mesh that is no Node of the cluster. Its labels say where it stands."""

    metadata: ObjectMeta
    spec: MeshNodeSpec
    api_version: Version = "tulle.io/v1alpha1"
    kind: Literal["MeshNode"] = "MeshNode"
    status: Any = None


class WorkloadPort(Object, frozen=True):
    """What Services may call by its name."""

    port: Port
    name: PortName = ""
    protocol: Literal["TCP", "UDP"] = "TCP"


class MeshWorkloadSpec(Object, frozen=True):
    """`node` is the MeshNode that it runs on, in whose ranges its addresses are."""

    node: SectionName
    addresses: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=2)]
    service_account_name: SectionName = "default"
    ports: Annotated[tuple[WorkloadPort, ...], Meta(max_length=100)] = ()
    weight: Annotated[int, Meta(ge=0, le=65535)] = 1
    ready: bool = True


class MeshWorkload(Object, frozen=True):
    """A process in the mesh on a host. By its labels Services and policies select it."""

    metadata: ObjectMeta
    spec: MeshWorkloadSpec
    api_version: Version = "tulle.io/v1alpha1"
    kind: Literal["MeshWorkload"] = "MeshWorkload"
    status: Any = None
