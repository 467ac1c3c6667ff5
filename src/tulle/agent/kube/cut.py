"""The part of a Pod that a mesh is interested in: a tenth of it. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from tulle.edges.manifests.fields import FieldError
from tulle.model.bandwidth import EGRESS_ANNOTATION, INGRESS_ANNOTATION
from tulle.model.kubernetes import WEIGHT_ANNOTATION, Port

HostPort = Annotated[int, Meta(ge=0, le=65535)]  # 0: none


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """What is not named here is skipped; there may be 100,000 of these."""


class _Annotations(_Part, frozen=True):
    weight: str | None = field(name=WEIGHT_ANNOTATION, default=None)
    ingress_bandwidth: str | None = field(name=INGRESS_ANNOTATION, default=None)
    egress_bandwidth: str | None = field(name=EGRESS_ANNOTATION, default=None)
    static: str | None = field(name="kubernetes.io/config.mirror", default=None)


class _Meta(_Part, frozen=True):
    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: _Annotations | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class PortCut(_Part, frozen=True):
    """As an API server must have judged it: another cluster's may not have."""

    container_port: Port
    name: str | None = None
    protocol: str | None = None
    host_port: HostPort | None = None
    host_ip: str | None = field(name="hostIP", default=None)


class ContainerCut(_Part, frozen=True):
    ports: tuple[PortCut, ...] | None = None
    restart_policy: str | None = None


class SpecCut(_Part, frozen=True):
    node_name: str | None = None
    service_account_name: str | None = None
    host_network: bool | None = None
    containers: tuple[ContainerCut, ...] | None = None
    init_containers: tuple[ContainerCut, ...] | None = None


class IpCut(_Part, frozen=True):
    ip: str | None = None


class ConditionCut(_Part, frozen=True):
    type: str
    status: str


class StatusCut(_Part, frozen=True):
    phase: str | None = None
    pod_ip: str | None = field(name="podIP", default=None)
    pod_ips: tuple[IpCut, ...] | None = field(name="podIPs", default=None)
    conditions: tuple[ConditionCut, ...] | None = None


class PodCut(_Part, frozen=True):
    metadata: _Meta
    spec: SpecCut = SpecCut()
    status: StatusCut = StatusCut()


_decoder = msgspec.json.Decoder(PodCut)


def pod_of(raw: bytes) -> PodCut:
    """Without the conditions that nobody asks for: they come and go. Raises FieldError."""
    try:
        pod = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FieldError(f"cannot be read: {error}") from error
    ready = tuple(item for item in pod.status.conditions or () if item.type == "Ready")
    status = msgspec.structs.replace(pod.status, conditions=ready)
    return msgspec.structs.replace(pod, status=status)
