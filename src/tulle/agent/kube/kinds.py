"""What is watched of an API server: of every kind that Tulle accepts, how it is asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tulle.edges.manifests.schema import versions_of
from tulle.edges.manifests.validate import CLUSTER_SCOPED
from tulle.model.kinds import KINDS
from tulle.model.kubernetes import SERVICE_NAME_LABEL

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind, and under which versions it is read: the first that the server has is taken."""

    kind: str
    versions: tuple[str, ...]
    query: Query = field(default_factory=dict)

    @property
    def namespaced(self) -> bool:
        return self.kind not in CLUSTER_SCOPED


# what a kind is called in the versions of it that the model has not
_OLDER = {"EndpointSlice": ("discovery.k8s.io/v1beta1",)}
_QUERIES: Mapping[str, Query] = {
    "EndpointSlice": {"labelSelector": SERVICE_NAME_LABEL},
    "Service": {"labelSelector": "!service.kubernetes.io/service-proxy-name"},
}

CRDS = Watched(
    "CustomResourceDefinition",
    ("apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"),
)

# asked for one by one, as others name them: nobody lists what is confidential
BY_NAME = frozenset({"Secret", "ConfigMap"})
# these say which
NAMING = frozenset(
    {
        "BackendTLSPolicy",
        "Gateway",
        "GatewayClass",
        "Ingress",
        "IngressClass",
        "ListenerSet",
        "ReferenceGrant",
    }
)
# without these more would be allowed
RESTRICTING = frozenset(
    {
        "AuthPolicy",
        "BackendTLSPolicy",
        "CiliumClusterwideNetworkPolicy",
        "CiliumNetworkPolicy",
        "ClusterNetworkPolicy",
        "NetworkPolicy",
        "RateLimitPolicy",
    }
)
# without these less is known of another cluster, and nothing else is different
ADDING = frozenset({"ServiceExport"})
OWN = "Node"  # only this node's: `population` reads of the others what it needs
# read in part, and not as objects of the user: `population`
ELSEWHERE = frozenset({"Pod"})


def _watched(kind: str) -> Watched:
    versions = (*versions_of(KINDS[kind]), *_OLDER.get(kind, ()))
    return Watched(kind, versions, _QUERIES.get(kind, {}))


ALL: Mapping[str, Watched] = {kind: _watched(kind) for kind in KINDS if kind not in ELSEWHERE}
WATCHED: tuple[Watched, ...] = tuple(
    item for kind, item in ALL.items() if kind not in BY_NAME and kind != OWN
)


def named(kind: str, name: str) -> Watched:
    """One object of a kind."""
    return replace(ALL[kind], query={"fieldSelector": f"metadata.name={name}"})
