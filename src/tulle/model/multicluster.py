"""Services of a set of clusters in the words of the MCS API (KEP-1645).

A ServiceExport gives the Service of its name to all clusters of the set. A ServiceImport is what
one of them has of it, and in this program a Service stands for that, called `clusterset/NAME`: no
API has a name with a slash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .kubernetes import (
    HEADLESS,
    Object,
    ObjectMeta,
    Port,
    Protocol,
    Service,
    ServiceSpec,
    SessionAffinityConfig,
)
from .world import Key

CLUSTERSET = "clusterset"
MCS_GROUP = "multicluster.x-k8s.io"
SERVICE_IMPORT = "ServiceImport"

Version = Literal["multicluster.x-k8s.io/v1beta1", "multicluster.x-k8s.io/v1alpha1"]
ImportType = Literal["ClusterSetIP", "Headless"]


class ServiceExport(Object, frozen=True):
    metadata: ObjectMeta
    api_version: Version = "multicluster.x-k8s.io/v1alpha1"
    kind: Literal["ServiceExport"] = "ServiceExport"
    # labels and annotations for the import: not acted on, as the KEP lets it be
    spec: Any = None
    status: Any = None


class ImportedPort(Object, frozen=True):
    port: Port
    name: str = ""
    protocol: Protocol = "TCP"
    app_protocol: str = ""


class ServiceImportSpec(Object, frozen=True):
    """Without what later versions have besides: that is not acted on."""

    ports: tuple[ImportedPort, ...] = ()
    ips: tuple[str, ...] = ()
    type: ImportType = "ClusterSetIP"
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_config: SessionAffinityConfig = SessionAffinityConfig()


class ServiceImport(Object, frozen=True):
    metadata: ObjectMeta
    spec: ServiceImportSpec = ServiceImportSpec()
    api_version: Version = "multicluster.x-k8s.io/v1alpha1"
    kind: Literal["ServiceImport"] = "ServiceImport"
    status: Any = None


class Export(NamedTuple):
    """A Service that a cluster exports since `created`."""

    created: str
    cluster: str
    service: Service


@dataclass(frozen=True, slots=True)
class ClusterSet:
    """What all clusters export, the oldest first; `whole` if all of them have said so."""

    exports: Mapping[Key, tuple[Export, ...]] = field(default_factory=dict)
    whole: bool = True


def imported(name: str) -> str:
    """What the Service is called that stands for a ServiceImport."""
    return f"{CLUSTERSET}/{name}"


def import_of(service: str) -> str:
    """For which ServiceImport a Service of that name stands; "" for one of the API.

    >>> import_of(imported("web")), import_of("web")
    ('web', '')
    """
    prefix, _, name = service.rpartition("/")
    return name if prefix == CLUSTERSET else ""


def import_type(spec: ServiceSpec) -> ImportType:
    return "Headless" if spec.cluster_ip == HEADLESS else "ClusterSetIP"
