"""Objects of two hosts beside a cluster: one that is there for a while, and one that is gone."""

from __future__ import annotations

from tests.e2e.mesh import service
from tests.kubernetes.kubectl import Json
from tulle.agent.kube.backing import is_of_hosts
from tulle.agent.kube.leases import LABEL, lease_of
from tulle.edges.manifests.directory import Snapshot
from tulle.model.hosts import MeshWorkload
from tulle.model.kubernetes import EndpointSlice

HERE, GONE = "here", "gone"


def hosts(namespace: str) -> list[Json]:
    """`namespace` is the mesh's; what they run is in `shop`."""
    metadata = {"name": lease_of(HERE), "namespace": namespace, "labels": {LABEL: "true"}}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
    made = [lease, service("hosted", "hosted")]
    for number, name in enumerate((HERE, GONE), 1):
        spec = {"addresses": [f"192.0.2.{number}"], "podCIDRs": [f"10.9.{number}.0/24"]}
        made.append(_ours("MeshNode", {"name": name}, spec))
        metadata = {"name": name, "namespace": "shop", "labels": {"app": "hosted"}}
        spec = {"node": name, "addresses": [f"10.9.{number}.2"]}
        made.append(_ours("MeshWorkload", metadata, spec))
    return made


def _ours(kind: str, metadata: Json, spec: Json) -> Json:
    return {
        "apiVersion": "tulle.io/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def are_looked_after(now: Snapshot) -> bool:
    """The one is listed alone, and of the other nothing is left."""
    ours = [item for item in now.of(EndpointSlice).values() if is_of_hosts(item)]
    listed = [endpoint.node_name for item in ours for endpoint in item.endpoints]
    return listed == [HERE] and ("shop", GONE) not in now.of(MeshWorkload)
