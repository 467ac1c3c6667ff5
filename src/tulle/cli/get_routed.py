"""Tables of `tulle get routes`, `gateways`, `traffic` and `proxies`."""

from __future__ import annotations

from .client import Json
from .output import Rows, size, yes


def routes(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    """A row a parent of a route; `wide` adds what the conditions say."""
    headers = ["NAMESPACE", "NAME", "KIND", "HOSTNAMES", "PARENT", "ACCEPTED", "RESOLVED"]
    headers += ["BACKENDS", "REASONS"] if wide else ["BACKENDS"]
    rows: Rows = []
    for item in items:
        for parent in item["parents"] or [None]:
            row: list[object] = [item["namespace"], item["name"], item["kind"]]
            row += [",".join(item["hostnames"]) or "*", *_of_parent(parent)]
            row.append(",".join(item["backends"]) or "-")
            row += ["; ".join(parent["reasons"] if parent else ()) or "-"] if wide else []
            rows.append(row)
    return headers, rows


def _of_parent(parent: Json | None) -> list[str]:
    if parent is None:  # an Ingress
        return ["-", "-", "-"]
    verdicts = (parent["accepted"], parent["resolvedrefs"])  # None: the parent is nobody's
    return [parent["parent"], *("-" if item is None else yes(item) for item in verdicts)]


def gateways(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    """A row a gateway, or a row a listener."""
    if wide:
        headers = ["NAMESPACE", "NAME", "LISTENER", "PORT", "HOSTNAME", "ROUTES", "PROGRAMMED"]
        return [*headers, "REASONS"], [
            [
                item["namespace"],
                item["name"],
                listener["name"],
                f"{listener['port']}/{listener['protocol']}",
                listener["hostname"] or "*",
                listener["attached_routes"],
                yes(listener["programmed"]),
                "; ".join(item["reasons"] + listener["reasons"]) or "-",
            ]
            for item in items
            for listener in item["listeners"]
        ]
    headers = ["NAMESPACE", "NAME", "KIND", "CLASS", "ADDRESSES", "PROGRAMMED", "LISTENERS"]
    return [*headers, "ROUTES"], [
        [
            item["namespace"],
            item["name"],
            item["kind"],
            item["class"] or item["parent"] or "-",
            ",".join(item["addresses"]) or "-",
            yes(item["programmed"]),
            len(item["listeners"]),
            sum(listener["attached_routes"] for listener in item["listeners"]),
        ]
        for item in items
    ]


def traffic(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    """A row an ancestor of a policy; `wide` adds what the conditions say."""
    headers = ["NAMESPACE", "NAME", "KIND", "TARGETS", "ANCESTOR", "ACCEPTED"]
    rows: Rows = []
    for item in items:
        for ancestor in item["ancestors"] or [{}]:
            row: list[object] = [item["namespace"], item["name"], item["kind"]]
            row.append(",".join(item["targets"]))
            row.append(ancestor.get("ancestor", "-"))
            row.append(yes(ancestor["accepted"]) if ancestor else "-")
            row += ["; ".join(ancestor.get("reasons", ())) or "-"] if wide else []
            rows.append(row)
    return [*headers, "REASONS"] if wide else headers, rows


def proxies(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    """A row an Envoy; `wide` names what it refuses."""
    headers = ["NODE", "SCOPE", "GENERATION", "PID", "STATE", "MEMORY", "LIMIT"]
    return [*headers, "FRONTS", "RESOURCES", "TOLD", "REFUSED"], [
        [
            item["node"],
            item["scope"],
            item["generation"],
            item["pid"],
            item["state"],
            size(item["memory_bytes"]),
            size(item["memory_limit_bytes"]) if item["memory_limit_bytes"] else "-",
            item["fronts"],
            ",".join(f"{kind}={count}" for kind, count in item["resources"].items()) or "-",
            _told(item["requests_told_one_in"]),
            _refused(item["refused"], wide),
        ]
        for item in items
    ]


def _told(one_in: int) -> str:
    """Of requests that went well."""
    return "all" if one_in == 1 else f"1 of {one_in}"


def _refused(refused: dict[str, str], wide: bool) -> str:
    if not wide:
        return str(len(refused))
    return "; ".join(f"{name}: {reason}" for name, reason in refused.items()) or "-"
