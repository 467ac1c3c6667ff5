"""`tulle explain`: the verdict on a connection before any packet is sent."""

from __future__ import annotations

import sys

import click

from .client import Agent, Json
from .output import amount, format_option, print_json, style

DENIED = 3
_COLOURS = {"FORWARDED": "green", "DROPPED": "red"}


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--port", type=click.IntRange(1, 65535), help="Destination or service port.")
@click.option(
    "--protocol",
    type=click.Choice(["TCP", "UDP", "SCTP", "ICMP", "ICMPv6"], case_sensitive=False),
    default="TCP",
    show_default=True,
)
@format_option("text", "json")
@click.pass_obj
def command(
    agent: Agent, source: str, target: str, port: int | None, protocol: str, output: str
) -> None:
    """Explain the verdict on a connection.

    No packet is sent. FROM and TO are NAMESPACE/NAME of a workload or service, or an IP address.
    Exits with 0 if it would be let through, with 3 if it, or one of its possible backends, would
    not.
    """
    if port is None and protocol in ("TCP", "UDP", "SCTP"):
        raise click.UsageError(f"--port is needed for {protocol}")
    asked = {"from": source, "to": target, "port": port or 0, "protocol": protocol}
    answer = agent.post("/v1/explain", asked)
    if output == "json":
        print_json(answer)
    else:
        click.echo(_text(answer, port, protocol))
    if any(item["verdict"] == "DROPPED" for item in answer["results"]):
        sys.exit(DENIED)


def _text(answer: Json, port: int | None, protocol: str) -> str:
    where = f":{port}" if port else ""
    lines = [click.style(f"{answer['from']} → {answer['to']}{where} ({protocol})", bold=True)]
    backends = {(item["destination"], item["port"]) for item in answer["results"] if item["share"]}
    if backends:
        count = amount(len(backends), "backend")
        lines.append(f"rung 0: {answer['service']}: connect() chooses among {count}")
    for item in answer["results"]:
        lines += ["", *_path(item)]
    return "\n".join(lines)


def _path(item: Json) -> list[str]:
    """One way that the connection may take: its verdict, and what decides it where."""
    from tulle.abi import Reason
    from tulle.observe.reasons import text_of

    share = "" if item["share"] is None else f"  {item['share']:.0%} of connections"
    where = f":{item['port']}" if item["port"] else ""
    head = f"{item['source']} → {item['destination']}{where}"
    rows = [("rung", f"{item['rung']}: {item['rung_reason']}")]
    rows += [(way, item[f"{way}_rule"]) for way in ("egress", "ingress") if item[f"{way}_rule"]]
    if len(rows) == 1 and item["rule"]:
        rows.append(("rule", item["rule"]))
    if item["verdict"] == "DROPPED":
        rows.append(("reason", f"{item['reason']}: {text_of(Reason[item['reason']])}"))
    verdict = style(item["verdict"], _COLOURS[item["verdict"]])
    return [f"{verdict}  {head}{share}", *(f"  {key:<8} {value}" for key, value in rows)]
