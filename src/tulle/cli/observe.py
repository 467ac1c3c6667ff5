"""`tulle observe`: flows as they happen, or as they happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tulle.errors import AgentDown
from tulle.observe.text import FORMATS, writer

from .client import Agent
from .output import F, format_option, style

DEFAULT_LAST = 20

FILTERS = {
    "pod": "[NAMESPACE/]NAME-PREFIX of either end; NAMESPACE/ for all of it.",
    "from-pod": "The same of the source.",
    "to-pod": "The same of the destination.",
    "namespace": "Namespace of either end.",
    "from-namespace": "Namespace of the source.",
    "to-namespace": "Namespace of the destination.",
    "label": "KEY=VALUE or KEY of either end.",
    "from-label": "The same of the source.",
    "to-label": "The same of the destination.",
    "ip": "Address or CIDR of either end.",
    "from-ip": "The same of the source.",
    "to-ip": "The same of the destination.",
    "fqdn": "Name, * in it being anything, that either end knows the other's address by.",
    "from-fqdn": "The same of the source's address.",
    "to-fqdn": "The same of the destination's address.",
    "port": "Port of either end.",
    "from-port": "Port of the source.",
    "to-port": "Port of the destination.",
    "protocol": "tcp, udp, sctp, icmp, icmpv4, icmpv6, dns or http.",
    "dns-query": "Regular expression for a part of the name that is asked for.",
    "http-status": "Status of the answer, such as 404, or 5+ for all that begin with 5.",
    "http-method": "Method of the request.",
    "http-path": "Regular expression for a part of the request's path.",
    "verdict": "FORWARDED, DROPPED, AUDIT (passed, but an audited policy would have denied) or "
    "ERROR (the proxy has no answer from a backend).",
    "drop-reason": "Such as POLICY_DENIED or SPOOFED_SOURCE.",
}


def _filters(function: F) -> F:
    for name, text in reversed(FILTERS.items()):
        add: Callable[[F], F] = click.option(f"--{name}", multiple=True, help=text)
        function = add(function)
    return function


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with flows as they happen.")
@click.option("--last", type=click.IntRange(1), help=f"The last N.  [default: {DEFAULT_LAST}]")
@click.option("--first", type=click.IntRange(1), help="The first N.")
@click.option("--since", metavar="TIME", help="Not older than 30s, 5m, 2h, or an RFC 3339 time.")
@_filters
@format_option(*FORMATS)
@click.pass_obj
def command(
    agent: Agent,
    /,
    follow: bool,
    last: int | None,
    first: int | None,
    since: str | None,
    output: str,
    **filters: Any,
) -> None:
    """Show flows and the rules that decided them.

    A filter given several times means any of its values; different filters must all hold.
    """
    if not (first or since or last):
        last, since = (None, "0s") if follow else (DEFAULT_LAST, None)  # as hubble
    params = [(name, value) for name in FILTERS for value in filters[name.replace("-", "_")]]
    limits = {"last": last, "first": first, "since": since, "follow": 1 if follow else None}
    params += [(name, str(value)) for name, value in limits.items() if value is not None]
    text_of = writer(output, style)
    seen = False
    try:
        for flow in agent.stream("/v1/flows", params):
            click.echo(text_of(flow))
            seen = True
        if follow:
            raise AgentDown("the agent has gone: no flows come any more")
        if not seen:
            asked = any(filters.values()) or since
            click.echo("no such flows" if asked else "no flows", err=True)
    except KeyboardInterrupt:  # how one leaves --follow
        pass
