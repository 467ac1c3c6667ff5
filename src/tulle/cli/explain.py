"""`tulle explain`: the verdict on a connection before any packet is sent."""

from __future__ import annotations

import sys
from typing import Any

import click

from .client import Agent, Json
from .output import amount, format_option, print_json, style

DENIED = 3
DNS_PORT = 53
_COLOURS = {"FORWARDED": "green", "DROPPED": "red"}
_ECHO_REQUEST = {"ICMP": 8, "ICMPv6": 128}
_LAST_TYPE = 255


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Destination or service port; of ICMP the type."
)
@click.option(
    "--protocol",
    type=click.Choice(["TCP", "UDP", "SCTP", "ICMP", "ICMPv6"], case_sensitive=False),
    help="[default: TCP, with --dns UDP]",
)
@click.option("--http", metavar="'METHOD PATH'", help="The request, such as 'GET /cart?id=1'.")
@click.option("--host", help="Its host, of TLS the server name.  [default: the name in TO]")
@click.option("--dns", metavar="NAME", help="A name that is asked for; TO is the resolver.")
@click.option("--header", multiple=True, metavar="NAME=VALUE", help="A header; may be repeated.")
@format_option("text", "json")
@click.pass_obj
def command(
    agent: Agent,
    /,
    source: str,
    target: str,
    port: int | None,
    protocol: str | None,
    dns: str | None,
    output: str,
    **request: Any,
) -> None:
    """Explain the verdict on a connection, or on a request.

    No packet is sent. FROM and TO are NAMESPACE/NAME of a workload, service or Gateway, the name of
    a node, or an IP address; TO may be a name that FROM asks DNS for. Exits with 0 if it would be
    let through, with 3 if it, or one of its possible backends, would not.
    """
    protocol = protocol or ("UDP" if dns else "TCP")
    port = port or (DNS_PORT if dns else None)
    if port is None and protocol in ("TCP", "UDP", "SCTP"):
        raise click.UsageError(f"--port is needed for {protocol}")
    if protocol in _ECHO_REQUEST and port is not None and port > _LAST_TYPE:
        raise click.UsageError(f"--port is the type of {protocol}: at most {_LAST_TYPE}")
    number = port or _ECHO_REQUEST.get(protocol, 0)
    asked: Json = {"from": source, "to": target, "port": number, "protocol": protocol}
    if http := _request(**request):
        asked["http"] = http
    if dns:
        asked["dns"] = dns
    answer = agent.post("/v1/explain", asked)
    if output == "json":
        print_json(answer)
    else:
        click.echo(_text(answer, number, protocol))
    if any(item["verdict"] == "DROPPED" for item in answer["results"]):
        sys.exit(DENIED)


def _request(http: str | None, host: str | None, header: tuple[str, ...]) -> Json | None:
    """As the agent takes it; None if none of it was given."""
    if http is None and host is None and not header:
        return None
    method, _, path = (http or "GET /").partition(" ")
    if not method or not path.startswith("/"):
        raise click.UsageError(f"--http {http!r} is not like 'GET /path'")
    headers = [item.partition("=") for item in header]
    for name, equals, _ in headers:
        if not name or not equals:
            raise click.UsageError(f"--header {name!r} is not NAME=VALUE")
    only_host: Json = {"tls": True} if http is None and not header else {}
    return only_host | {
        "method": method.upper(),
        "path": path,
        "host": host or "",
        "headers": [[name, value] for name, _, value in headers],
    }


def _text(answer: Json, port: int, protocol: str) -> str:
    where = f" type {port}" if protocol in _ECHO_REQUEST else f":{port}"
    lines = [click.style(f"{answer['from']} → {answer['to']}{where} ({protocol})", bold=True)]
    lines += _choices(answer)
    lines += _met(answer["request"]) if answer.get("request") else []
    of = "requests" if answer.get("request") else "connections"
    for item in answer["results"]:
        lines += ["", *_path(item, of)]
    return "\n".join(lines)


def _choices(answer: Json) -> list[str]:
    """Who chooses a backend, and among how many: once for each place where that happens."""
    backends: dict[tuple[int, str], set[tuple[str, int]]] = {}
    for item in answer["results"]:
        at = item["frontend"]
        if at and item["share"] is not None:
            who = "connect()" if at["rung"] == 0 else f"node {at['node']}"
            place = at["rung"], f"{answer['service']} {at['address']}: {who}"
            backends.setdefault(place, set()).add((item["destination"], item["port"]))
    return [
        f"rung {rung}: {who} chooses among {amount(len(found), 'backend')}"
        for (rung, who), found in backends.items()
    ]


def _met(request: Json) -> list[str]:
    """What the node's proxy makes of a request."""
    lines = [f"rung {request['rung']}: {request['why']}"]
    if request["rung"] < 3:
        return lines
    listener = f"{request['listener'] or 'none'} of {request['front']}"
    rows = [("proxy", request["scope"]), ("listener", listener)]
    rows += [("rule", request["rule"])] if request["rule"] else []
    rows += [("match", request["match"])] if request["match"] else []
    rows += [("does", words) for words in request["filters"]]
    for item in request["destinations"]:
        broken = f" ({item['broken']})" if item["broken"] else ""
        rows.append(("to", f"{item['service']}:{item['port']}  {item['share']:.0%}{broken}"))
    rows += [("answer", request["answer"])] if "answer" in request else []
    return [*lines, *(f"  {key:<8} {value}" for key, value in rows)]


def _path(item: Json, of: str) -> list[str]:
    """One way that the connection may take: its verdict, and what decides it where."""
    from tulle.abi import Reason
    from tulle.observe.reasons import text_of

    share = "" if item["share"] is None else f"  {item['share']:.0%} of {of}"
    about = f" type {item['port']}" if item["protocol"] in _ECHO_REQUEST else f":{item['port']}"
    head = f"{item['source']} → {item['destination']}{about}"
    rows = [("rung", f"{item['rung']}: {item['rung_reason']}")]
    rows += [("route", "; ".join(item["route"]))] if item["route"] else []
    rules = [(way, item[f"{way}_rule"]) for way in ("egress", "ingress") if item[f"{way}_rule"]]
    rows += rules or [("rule", item["rule"])]
    rows += [("request", rule) for rule in item["request_rules"]]
    rows += [(name, words) for part in item["allows"] for name, words in _allowed(part)]
    if item["audit_rule"]:
        would = style("would be denied", "yellow")
        rows.append(("audit", f"{would}: {item['audit_rule']}"))
    if item["verdict"] == "DROPPED":
        rows.append(("reason", f"{item['reason']}: {text_of(Reason[item['reason']])}"))
    if item["answer"]:
        rows.append(("answer", item["answer"]))
    if item["reject"]:
        rows.append(("answer", "the sender is told: a TCP reset, or ICMP prohibited"))
    rows += [("note", note) for note in item["notes"]]
    verdict = style(item["verdict"], _COLOURS[item["verdict"]])
    return [f"{verdict}  {head}{share}", *(f"  {key:<8} {value}" for key, value in rows)]


def _allowed(part: Json) -> list[tuple[str, str]]:
    """What a rule allows of requests, and its name."""
    words = [("allows", text) for text in part["requests"]] or [("allows", "no request")]
    return [*words, ("  by", part["rule"])]
