"""Small worlds by hand: objects as YAML, and what tests read out of maps."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec
import yaml

from tulle.abi import Endpoint, IpcacheEntry, IpcacheKey, PolicyEntry, PolicyKey
from tulle.compile.diff import Maps
from tulle.compile.parts import packed
from tulle.model.kinds import KINDS, KubernetesObject
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import Node, Workload, World


def objects(text: str) -> list[KubernetesObject]:
    """The documents of a YAML text; namespace "shop" where none is given."""
    found = []
    for document in yaml.safe_load_all(text):
        if "Cluster" not in document["kind"]:
            document["metadata"].setdefault("namespace", "shop")
        found.append(msgspec.convert(document, KINDS[document["kind"]]))
    return found


def world_of(*workloads: Workload, text: str = "", node: Node | None = None) -> World:
    """A world of these workloads and the objects of a YAML text."""
    by_kind: dict[str, dict[tuple[str, str], KubernetesObject]] = {kind: {} for kind in KINDS}
    for item in objects(text):
        by_kind[item.kind][item.metadata.namespace, item.metadata.name] = item
    named = {kind: {key[1]: item for key, item in of.items()} for kind, of in by_kind.items()}
    return World(
        node=node or Node(),
        workloads={workload.key: workload for workload in workloads},
        services=by_kind["Service"],
        slices=by_kind["EndpointSlice"],
        policies=by_kind["NetworkPolicy"],
        cilium_policies=by_kind["CiliumNetworkPolicy"],
        clusterwide_policies=named["CiliumClusterwideNetworkPolicy"],
        cluster_policies=named["ClusterNetworkPolicy"],
    )


def workload(
    name: str,
    *addresses: str,
    namespace: str = "shop",
    ports: tuple[ContainerPort, ...] = (),
    weight: int = 1,
    ready: bool = True,
    **labels: str,
) -> Workload:
    """`name` ends in a number, which is its last byte and its interface's unless told otherwise."""
    number = int(name.rpartition("-")[2])
    at = tuple(map(ip_address, addresses or (f"10.0.0.{number}",)))
    return Workload(namespace, name, labels, at, number, ports, weight, ready)


def endpoint(maps: Maps, address: str) -> Endpoint:
    return Endpoint.unpack(maps["endpoints"][packed(ip_address(address))])


def ipcache(maps: Maps) -> dict[str, int]:
    """Prefix → identity, in the words of the family that it belongs to."""
    found = {}
    for raw, value in maps["ipcache"].items():
        length, address = IpcacheKey.unpack(raw)
        whole = ip_network((address, length))
        inside = whole.network_address.ipv4_mapped
        name = f"{inside}/{length - 96}" if inside and length >= 96 else str(whole)
        found[name] = IpcacheEntry.unpack(value).identity
    return found


def policy_set(maps: Maps, number: int) -> dict[PolicyKey, PolicyEntry]:
    entries = ((PolicyKey.unpack(key), value) for key, value in maps["policy"].items())
    return {key: PolicyEntry.unpack(value) for key, value in entries if key.set == number}
