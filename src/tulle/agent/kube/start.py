"""An agent's start on a node of a Kubernetes cluster: whom it asks, and what it is itself there."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import msgspec

from tulle.edges import netns
from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import Access, from_kubeconfig, from_pod
from tulle.edges.kubernetes.errors import NotFound
from tulle.edges.kubernetes.lease import Lease
from tulle.edges.manifests.checkpoint import Checkpoint
from tulle.errors import ManifestError, Refused, Unavailable
from tulle.model.kubernetes import NodeObject
from tulle.model.paths import NodePaths
from tulle.model.world import IPNetwork

from ..options import KubernetesOptions, NodeOptions
from ..records import write_atomically
from ..source import Sources
from .decode import checked, decode
from .denials import watch
from .duties import Duties
from .events import Recorder
from .joined import JoinedPopulation, JoinedSource
from .joining import Joining
from .peers import Peers
from .population import NODES, Population
from .source import KubernetesSource

log = logging.getLogger("tulle")

RANGES_WAIT_S = 60.0
LEASE = "tulle"  # of who writes for all


async def prepare(
    paths: NodePaths, options: NodeOptions, where: KubernetesOptions
) -> tuple[NodeOptions, Sources]:
    """The options with what the node's own object says, and where its world comes from.

    Raises Refused, and Unavailable if the node has no pod ranges, now or before.
    """
    access = access_of(where)
    client = client_of(paths, access)
    chained = options.settings.chained
    if not options.pod_cidrs and not chained:
        memory = paths.durable / "pod-cidrs.json"
        options = replace(options, pod_cidrs=await _ranges(client, options.name, memory))
    clock = time.monotonic
    source = KubernetesSource(client, Checkpoint(paths.last_good, checked), clock, options.name)
    memory = paths.durable / "others.json"
    joining = None
    if where.joins:
        await _refuse_node(client, options.name)
        joining = Joining(client, access.namespace, options.name, source.scan)
    has = source.has_namespace
    population = Population(client, options.name, memory, clock, has, joining, chained=chained)
    peers = Peers(
        client,
        access.namespace,
        options.settings.cluster_name,
        paths.durable / "clusters",
        partial(client_of, paths),
        clock,
        options.service_cidrs,
    )
    duties = _duties(client, access, source, options.name) if where.duties else None
    recorder = Recorder(client, source.resource_of, options.name)
    return options, Sources(
        JoinedSource(source, peers),
        JoinedPopulation(population, peers),
        (
            *(source.run, population.run, peers.run, recorder.run),
            *(item.run for item in (duties, joining) if item),
        ),
        facts=population.own.find,
        own=population.own.all,
        problems=lambda: [
            *source.problems,
            *population.problems,
            *peers.problems,
            *(duties.problems if duties else ()),
            *(joining.problems if joining else ()),
        ],
        status=lambda: {
            **source.status(),
            "others": population.status(),
            "clusters": peers.status(),
            "events": recorder.status(),
            **({"duties": duties.status()} if duties else {}),
            **({"joined": joining.status()} if joining else {}),
        },
        tell=duties.tell if duties else None,
        flows=partial(watch, recorder),
        close=client.close,
    )


async def _refuse_node(client: Client, name: str) -> None:
    """Raises Refused if the cluster has a Node of that name, which is another machine."""
    try:
        await client.get(NODES.path(name=name))
    except Unavailable:  # not found, or not known now: then `nodes.joined` says so
        return
    raise Refused(f"Node {name}: the cluster has one: name this host otherwise with --node-name")


def _duties(client: Client, access: Access, source: KubernetesSource, node: str) -> Duties:
    lease = Lease(client, access.namespace, LEASE, f"{node}_{os.getpid()}")
    return Duties(client, source.resource_of, lease, node, access.namespace)


def access_of(where: KubernetesOptions) -> Access:
    """Raises Refused."""
    if where.kubeconfig is None:
        return from_pod(where.server)
    return from_kubeconfig(where.kubeconfig, server=where.server)


def client_of(paths: NodePaths, access: Access) -> Client:
    """From the node's network, never by a Service: that needs an agent first. Raises Refused."""
    return Client(access, make_socket=partial(_socket_in, paths.netns))


def _socket_in(place: Path | None, family: int, kind: int, protocol: int) -> socket.socket:
    return netns.run_in(place, partial(socket.socket, family, kind, protocol))


async def _ranges(client: Client, node: str, memory: Path) -> tuple[IPNetwork, ...]:
    """The node's pod ranges; while nobody answers, those that it had before."""
    backoff, deadline = Backoff(), time.monotonic() + RANGES_WAIT_S
    while True:
        try:
            found = await _asked(client, node)
        except (Unavailable, ManifestError) as error:
            reason = str(error)
            if not isinstance(error, NotFound) and (known := _recalled(memory)):
                log.warning("%s: pod ranges are those that node %s had before", reason, node)
                return known
        else:
            if found:
                write_atomically(memory, msgspec.json.encode(found))
                return tuple(map(ip_network, found))
            reason = f"Node {node}: spec.podCIDRs: none is given: wait for who gives them, or name "
            reason += "them with --pod-cidr"
        if time.monotonic() > deadline:
            raise Unavailable(reason)
        await asyncio.sleep(max(backoff.next(), 0.1))


async def _asked(client: Client, node: str) -> tuple[str, ...]:
    obj = decode("Node", await client.get(NODES.path(name=node)), "v1")
    assert isinstance(obj, NodeObject)
    return obj.spec.pod_cidrs


def _recalled(memory: Path) -> tuple[IPNetwork, ...]:
    try:
        texts = msgspec.json.decode(memory.read_bytes(), type=tuple[str, ...])
        return tuple(map(ip_network, texts))
    except (OSError, ValueError, msgspec.MsgspecError):
        return ()
