"""Options of `tulle up`, which `tulle lab up` passes on: declared once, read, and written again."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tulle.errors import UsageError
from tulle.model.cilium import DEFAULT_CLUSTER
from tulle.model.paths import LOCAL, NodePaths, require_subdomain
from tulle.model.world import IPNetwork, Settings

from .output import F

if TYPE_CHECKING:
    from tulle.agent.options import KubernetesOptions, NodeOptions

IN_POD = "in-pod"
# Only what stands for Gateways without a pool is given these: an API server's own range is its own.
GATEWAY_CIDRS: tuple[IPNetwork, ...] = (
    ip_network("198.18.96.0/20"),
    ip_network("fd00:7a11:0:97::/112"),
)


class Cidr(click.ParamType[str]):
    """A network, in its shortest form."""

    name = "cidr"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(ip_network(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Label(click.ParamType[str]):
    """KEY=VALUE."""

    name = "key=value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.partition("=")[0] or "=" not in value:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return value


class Kubeconfig(click.ParamType[str]):
    """A file, by its whole path: an agent is started again from elsewhere. Or IN_POD."""

    name = "kubeconfig"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if value == IN_POD else str(Path(value).absolute())


_OPTIONS: dict[str, dict[str, Any]] = {
    "--pod-cidr": {
        "type": Cidr(),
        "multiple": True,
        "help": "Range of workload addresses, one an address family.",
    },
    "--service-cidr": {
        "type": Cidr(),
        "multiple": True,
        "help": "Range of service addresses, one an address family; the same on every node.",
    },
    "--routing": {
        "type": click.Choice(["native", "vxlan"]),
        "help": "How other nodes' workloads are reached; the same on every node.  "
        "[default: native]",
    },
    "--load-balancing": {
        "type": click.Choice(["snat", "dsr"]),
        "help": "What a backend on another node sees of a client outside: the node that took the "
        "connection, or the client; the same on every node.  [default: snat]",
    },
    "--no-masquerade": {
        "is_flag": True,
        "help": "Workloads keep their source address when they speak to the outside.",
    },
    "--no-masquerade-cidr": {
        "type": Cidr(),
        "multiple": True,
        "help": "They keep it towards this range.",
    },
    "--stream": {
        "is_flag": True,
        "help": "Rules of HTTP that the kernel can hold are judged in their packets, not by "
        "the node's proxy; the same on every node.",
    },
    "--short-circuit": {
        "is_flag": True,
        "help": "TCP between workloads of this node goes from socket to socket where both read "
        "without waiting in the kernel. Workloads that read by splice() must not be asked to: "
        "label them tulle.io/short-circuit=false.",
    },
    "--cni-chained": {
        "is_flag": True,
        "help": "Another CNI plugin makes pods' interfaces and owns addresses and routes: Tulle's "
        "comes after it in the chain; the same on every node.",
    },
    "--node-label": {
        "type": Label(),
        "multiple": True,
        "help": "A label of the node, such as topology.kubernetes.io/zone=a.",
    },
    "--cluster-dir": {
        "type": click.Path(path_type=str),
        "help": "Directory that all nodes share: manifests, and what each says of itself.",
    },
    "--kubernetes": {
        "type": Kubeconfig(),
        "metavar": f"KUBECONFIG|{IN_POD}",
        "help": "The node is one of this Kubernetes cluster: all objects come from its API server.",
    },
    "--kubernetes-server": {
        "metavar": "URL",
        "help": "Its API server, where nodes reach it without a mesh.  [default: the one named "
        "there]",
    },
    "--duties": {
        "is_flag": True,
        "help": "Agents of the cluster that have this write statuses, one of them at a time.",
    },
    "--join": {
        "is_flag": True,
        "help": "The node is no Node of that cluster but a host beside it: its workloads become "
        "MeshWorkloads there.",
    },
    "--cluster-name": {
        "metavar": "NAME",
        "help": "What other clusters call this one. With it, this one is joined with those to "
        "which Secrets with the label tulle.io/cluster lead.",
    },
    "--node-name": {
        "help": "The node's name in the mesh.  [default: with --cluster-dir or --kubernetes the "
        "host's name]",
    },
    "--uplink": {
        "metavar": "DEVICE",
        "help": "To other nodes and the outside.  [default: the default route's]",
    },
    "--xdp": {
        "type": click.Choice(["off", "native", "generic"]),
        "help": "Whether services for the outside are translated before the kernel makes a packet "
        "buffer: in the device's driver, or for any device.  [default: off]",
    },
    "--proxy-workers": {
        "type": click.IntRange(1, 256),
        "metavar": "NUMBER",
        "help": "Threads of the node's proxy that serve connections.  [default: 2]",
    },
    "--no-proxy-standby": {
        "is_flag": True,
        "help": "One Envoy, and none that stands by: less memory, but new connections wait for up "
        "to a second when it is killed.",
    },
    "--host-cgroup": {
        "type": click.Path(path_type=str),
        "multiple": True,
        "help": "Processes of the host in this cgroup reach services by their addresses too; "
        "kubepods* as its last part stands for all that are there.",
    },
}
# The same for every node of a lab's cluster.
OF_A_CLUSTER = (
    "--service-cidr",
    "--routing",
    "--load-balancing",
    "--no-masquerade",
    "--no-masquerade-cidr",
    "--stream",
    "--cni-chained",
    "--kubernetes",
    "--kubernetes-server",
    "--duties",
    "--cluster-name",
)
OF_A_NODE = ("--node-label", "--xdp", "--short-circuit", "--proxy-workers", "--no-proxy-standby")
OF_A_LAB = ("--pod-cidr", *OF_A_CLUSTER, *OF_A_NODE)


def up_options(flags: Iterable[str] = _OPTIONS) -> Callable[[F], F]:
    """Declares these options of a command."""

    def declare(function: F) -> F:
        for flag in reversed(list(flags)):
            function = click.option(flag, **_OPTIONS[flag])(function)
        return function

    return declare


def words(values: Mapping[str, Any], flags: Iterable[str] = _OPTIONS) -> list[str]:
    """The options again, for a command line.

    >>> words({"routing": "vxlan", "no_masquerade": True, "pod_cidr": ("10.0.0.0/8",)})
    ['--pod-cidr', '10.0.0.0/8', '--routing', 'vxlan', '--no-masquerade']
    """
    line: list[str] = []
    for flag in flags:
        match values.get(_parameter(flag)):
            case None | False:
                pass
            case True:
                line.append(flag)
            case str() | int() as value:
                line += [flag, str(value)]
            case several:
                line += [word for value in several for word in (flag, value)]
    return line


def node_options(paths: NodePaths, values: Mapping[str, Any]) -> NodeOptions:
    """Raises Refused if they make no sense."""
    from tulle.agent.options import NodeOptions, ProxyOptions

    base = NodeOptions()
    cluster, kubernetes = values["cluster_dir"], _kubernetes(values)
    chained = _is_chained(values)
    settings = Settings(
        routing=values["routing"] or Settings().routing,
        load_balancing=values["load_balancing"] or Settings().load_balancing,
        masquerade=not values["no_masquerade"] and not chained,
        no_masquerade=_networks(values["no_masquerade_cidr"]),
        endpoints="listed" if kubernetes else "computed",
        chained=chained,
        stream=bool(values["stream"]),
        short_circuit=bool(values["short_circuit"]),
        cluster_name=cluster_name(values["cluster_name"]),
    )
    pod_cidrs = _one_a_family("--pod-cidr", values["pod_cidr"])
    pod_cidrs = pod_cidrs or (() if kubernetes or chained else base.pod_cidrs)
    given = values["service_cidr"]
    service_cidrs = gateway_cidrs(given) if kubernetes or given else base.service_cidrs
    _check_apart(pod_cidrs, service_cidrs)
    name = values["node_name"] or _default_name(paths, bool(cluster or kubernetes))
    return NodeOptions(
        name=require_subdomain(name, "node name"),
        pod_cidrs=pod_cidrs,
        service_cidrs=service_cidrs,
        labels=dict(label.split("=", 1) for label in values["node_label"]),
        cluster=Path(cluster).absolute() if cluster else None,
        kubernetes=kubernetes,
        uplink=values["uplink"] or "",
        host_cgroups=tuple(path for word in values["host_cgroup"] for path in _cgroups(word)),
        xdp=values["xdp"] or base.xdp,
        proxy=ProxyOptions(
            workers=values["proxy_workers"] or base.proxy.workers,
            standby=not values["no_proxy_standby"],
        ),
        settings=settings,
    )


def _is_chained(values: Mapping[str, Any]) -> bool:
    """Raises UsageError for what would be decided twice."""
    if not values["cni_chained"]:
        return False
    flags = ("--pod-cidr", "--routing", "--load-balancing", "--no-masquerade")
    for flag in (*flags, "--no-masquerade-cidr"):
        if values[_parameter(flag)]:
            raise UsageError(f"{flag}: with --cni-chained that is the other plugin's to decide")
    if values["cluster_name"]:
        raise UsageError("--cluster-name: with --cni-chained no cluster is joined yet")
    return True


def cluster_name(given: str | None) -> str:
    """Raises UsageError."""
    if given and not re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", given):
        raise UsageError(f"--cluster-name: {given!r} is not an RFC 1123 label")
    return given or DEFAULT_CLUSTER


def gateway_cidrs(given: Iterable[str]) -> tuple[IPNetwork, ...]:
    """What Gateways of a Kubernetes cluster are given where no pool has an address for them."""
    return _one_a_family("--service-cidr", given) or GATEWAY_CIDRS


def _kubernetes(values: Mapping[str, Any]) -> KubernetesOptions | None:
    from tulle.agent.options import KubernetesOptions

    given, server = values["kubernetes"], values["kubernetes_server"]
    duties, joins = values["duties"], values["join"]
    if not given:
        for flag in ("--kubernetes-server", "--duties", "--join", "--cluster-name"):
            if values[_parameter(flag)]:
                raise UsageError(f"{flag} needs --kubernetes")
        return None
    if joins and duties:
        raise UsageError("--join and --duties: a host writes of itself only")
    if joins and not values["pod_cidr"]:
        raise UsageError("--join needs --pod-cidr: a range that no node of the mesh has")
    if values["cluster_dir"]:
        raise UsageError("--kubernetes and --cluster-dir: a node has one cluster")
    kubeconfig = None if given == IN_POD else Path(given)
    return KubernetesOptions(kubeconfig, server or "", duties, joins)


def _cgroups(word: str) -> list[Path]:
    """A cgroup, which has to be there, or those that a pattern meets, which may be none."""
    path = Path(word).absolute()
    return sorted(path.parent.glob(path.name)) if "*" in path.name else [path]


def _default_name(paths: NodePaths, is_of_cluster: bool) -> str:
    if paths.node != LOCAL or not is_of_cluster:
        return paths.node
    return socket.gethostname().lower()  # as kubelet names its node


def _networks(texts: Iterable[str]) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(text) for text in texts)


def _one_a_family(flag: str, texts: Iterable[str]) -> tuple[IPNetwork, ...]:
    found = _networks(texts)
    if len({network.version for network in found}) < len(found):
        raise UsageError(f"{flag}: at most one an address family")
    return found


def _check_apart(pod_cidrs: Iterable[IPNetwork], service_cidrs: Iterable[IPNetwork]) -> None:
    """A service that got a workload's address would take its connections."""
    for services, pods in product(service_cidrs, pod_cidrs):
        if services.version == pods.version and services.overlaps(pods):
            raise UsageError(f"--service-cidr {services} overlaps --pod-cidr {pods}")


def _parameter(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
