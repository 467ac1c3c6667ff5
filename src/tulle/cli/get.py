"""`tulle get`: what the agent knows and the kernel enforces, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click

from .client import Agent, Json
from .get_requests import requests
from .get_routed import gateways, proxies, routes, traffic
from .output import Rows, amount, duration, format_option, print_json, print_yaml, size, table, yes

ALIASES = {
    "svc": "services",
    "service": "services",
    "ep": "endpoints",
    "endpoint": "endpoints",
    "identity": "identities",
    "netpol": "policies",
    "networkpolicy": "policies",
    "networkpolicies": "policies",
    "cnp": "policies",
    "ccnp": "policies",
    "policy": "policies",
    "po": "pods",
    "pod": "pods",
    "no": "nodes",
    "node": "nodes",
    "route": "routes",
    **{
        f"{kind}route{plural}": "routes"
        for kind in ("http", "grpc", "tls", "tcp", "udp")
        for plural in ("", "s")
    },
    "ingress": "routes",
    "ingresses": "routes",
    "ing": "routes",
    "gateway": "gateways",
    "gtw": "gateways",
    "proxy": "proxies",
    "envoys": "proxies",
    "rung": "rungs",
    "request": "requests",
    "question": "questions",
}


KINDS = (
    "services",
    "endpoints",
    "identities",
    "policies",
    "pods",
    "nodes",
    "routes",
    "gateways",
    "traffic",
    "proxies",
    "rungs",
    "requests",
    "questions",
)


class Kind(click.ParamType[str]):
    """A kind's name, or the short or singular form that kubectl users type."""

    name = "kind"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return f"It is one of {', '.join(KINDS)}."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind = ALIASES.get(value.lower(), value.lower())
        if kind not in KINDS:
            self.fail(f"{value!r} is none of {', '.join(KINDS)}", param, ctx)
        return kind


@click.command()
@click.argument("kind", type=Kind())
@click.option("-n", "--namespace", help="Only this namespace; without it, all.")
@format_option("text", "wide", "json", "yaml")
@click.pass_obj
def command(agent: Agent, kind: str, namespace: str | None, output: str) -> None:
    """List what is in force.

    KIND is services, endpoints, identities, policies, pods, nodes, routes, gateways, traffic (its
    policies), proxies, rungs (where each rule is judged), requests or questions of DNS (as they
    were counted). Of routes, gateways and traffic -o yaml shows the whole objects, with their
    status.
    """
    answer = agent.get(f"/v1/objects/{kind}")
    items = [
        item for item in answer["items"] if namespace in (None, item.get("namespace", namespace))
    ]
    if output == "json":
        print_json({"items": items})
    elif output == "yaml":
        print_yaml({"items": [item.get("manifest", item) for item in items]})
    elif not items:
        click.echo(f"no {kind}" + (f" in namespace {namespace}" if namespace else ""), err=True)
    else:
        headers, rows = _TABLES[kind](items, output == "wide")
        click.echo(table(headers, rows))


def _rungs(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    """A row a rule, or with `wide` a row for each rule set that it is in."""
    headers = ["RULE", "RUNG", "WHY"]
    if wide:
        return [*headers, "SET"], [
            [item["rule"], item["rung"], item["why"], item["set"] or "-"] for item in items
        ]
    rows = dict.fromkeys((item["rule"], item["rung"], item["why"]) for item in items)
    return headers, [list(row) for row in rows]


def _questions(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    headers = ["NAMESPACE", "NAME", "ASKED", "ANSWERED", "DENIED", "NOT TOLD"]
    names = [header.lower().replace(" ", "_") for header in headers]
    return headers, [[item[name] for name in names] for item in items]


def _services(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    """A row a service, or a row a backend with its share of new connections."""
    if wide:
        headers = ["NAMESPACE", "NAME", "PORT", "BACKEND", "WORKLOAD", "SHARE"]
        return headers, [row for item in items for row in _backends(item)]
    headers = ["NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)"]
    return [*headers, "AFFINITY", "ENDPOINTS"], [
        [
            item["namespace"],
            item["name"],
            item["type"],
            _list(item["cluster_ips"]) or "None",
            _list(item["external_ips"]) or "-",
            _list([_port(port) for port in item["ports"]]) or "-",
            f"{item['affinity_s']} s" if item["affinity_s"] else "-",
            len({backend["workload"] or backend["address"] for backend in item["backends"]}),
        ]
        for item in items
    ]


def _port(port: Json) -> str:
    """As kubectl has it: with the node port behind it, if there is one."""
    node_port = f":{port['node_port']}" if port["node_port"] else ""
    return f"{port['port']}{node_port}/{port['protocol']}"


def _backends(item: Json) -> Rows:
    name: list[object] = [item["namespace"], item["name"]]
    return [
        [
            *name,
            backend["service_port"],
            _joined(backend["address"], backend["port"]),
            backend["workload"] or "-",
            f"{backend['share']:.0%}",
        ]
        for backend in item["backends"]
    ] or [[*name, "-", "none", "-", "-"]]


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoints(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    headers = ["NAMESPACE", "NAME", "READY", "IP", "IDENTITY", "INGRESS", "EGRESS"]
    headers += ["LABELS", "WEIGHT", "IFINDEX"] if wide else []
    rows: Rows = []
    for item in items:
        row: list[object] = [
            item["namespace"],
            item["name"],
            yes(item["ready"]),
            _addresses(item, wide),
            item["identity"],
            _isolation(item["ingress_policies"], wide),
            _isolation(item["egress_policies"], wide),
        ]
        labels = [f"{key}={value}" for key, value in item["labels"].items()]
        row += [_list(labels) or "-", item["weight"], item["ifindex"]] if wide else []
        rows.append(row)
    return headers, rows


def _isolation(policies: list[str], wide: bool) -> str:
    if not policies:
        return "open"
    return _list(policies) if wide else amount(len(policies), "policy")


def _identities(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    return ["ID", "ENDPOINTS", "LABELS"], [
        [item["id"], item["endpoints"], _list(item["labels"])] for item in items
    ]


def _policies(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    """A row a policy, or a row a rule with its counters."""
    if wide:
        return ["NAMESPACE", "NAME", "RULE", "VERDICTS", "BYTES"], [
            [*_named(item), rule["rule"], rule["packets"], size(rule["bytes"])]
            for item in items
            for rule in item["rules"]
        ]
    return ["NAMESPACE", "NAME", "KIND", "TYPES", "AUDIT", "SELECTS", "ALLOWED", "DENIED"], [
        [
            *_named(item),
            item["kind"],
            _list(item["types"]),
            "yes" if item["audit"] else "-",
            _list(item["selects"]) or "nothing",
            sum(rule["packets"] for rule in item["rules"] if not rule["denies"]),
            sum(rule["packets"] for rule in item["rules"] if rule["denies"]),
        ]
        for item in items
    ]


def _named(item: Json) -> list[object]:
    """Clusterwide policies are in no namespace."""
    return [item["namespace"] or "-", item["name"]]


def _pods(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    return ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "IP", "NODE", "REASON"], [
        [
            item["namespace"],
            item["name"],
            yes(item["ready"]),
            item["phase"],
            "-" if item["restarts"] is None else item["restarts"],
            _addresses(item, wide) or "-",
            item["node"] or "-",
            item["reason"] or "-",
        ]
        for item in items
    ]


def _nodes(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    headers = ["NAME", "ADDRESS", "POD CIDRS", "WORKLOADS", "AGE"]
    return headers + (["LABELS"] if wide else []), [
        [
            item["name"] + (" (this one)" if item["this"] else ""),
            (_list(item["addresses"]) if wide else item["underlay"]) or "-",
            _list(item["pod_cidrs"]) or "-",
            item["workloads"],
            _age(item["created"]),
            *([_list([f"{key}={value}" for key, value in item["labels"].items()])] if wide else []),
        ]
        for item in items
    ]


def _age(created: str) -> str:
    """Since an RFC 3339 time; nodes' clocks may differ."""
    if not created:
        return "-"
    since = datetime.now(UTC) - datetime.fromisoformat(created)
    return duration(max(since.total_seconds(), 0.0))


def _addresses(item: Json, wide: bool) -> str:
    """The first, which is enough to recognise it, unless there is room for all."""
    return _list(item["addresses"] if wide else item["addresses"][:1])


def _list(values: Sequence[str]) -> str:
    return ",".join(values)


_TABLES: dict[str, Callable[[list[Json], bool], tuple[list[str], Rows]]] = {
    "services": _services,
    "endpoints": _endpoints,
    "identities": _identities,
    "policies": _policies,
    "pods": _pods,
    "nodes": _nodes,
    "routes": routes,
    "gateways": gateways,
    "traffic": traffic,
    "proxies": proxies,
    "rungs": _rungs,
    "requests": requests,
    "questions": _questions,
}
