"""Names and labels of what an installation consists of."""

from __future__ import annotations

from tulle import __version__

from .marks import MANAGER, Node

NAME = "tulle"
AGENT, OPERATOR, CLEANER = "tulle-agent", "tulle-operator", "tulle-cleaner"
PEER = "tulle-peer"  # whoever reads this cluster from another one
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
VERSION = "app.kubernetes.io/version"


def labels() -> dict[str, Node]:
    return {PART_OF: NAME, MANAGED_BY: MANAGER, VERSION: __version__}


def selector(name: str) -> dict[str, Node]:
    """By which a workload knows its pods: never to change, as an API server lets nobody."""
    return {PART_OF: NAME, "app.kubernetes.io/name": name}


def metadata(name: str, namespace: Node = None) -> dict[str, Node]:
    """Of something that belongs to nobody, to the cluster, or to `namespace`."""
    where = {} if namespace is None else {"namespace": namespace}
    return {"name": name, **where, "labels": labels()}
