"""Connections and datagrams that are passed on whole."""

from __future__ import annotations

from tulle import xds
from tulle.model.routing import Stream

from .balancing import hashes_source
from .fields import Fields, extension, milliseconds, value
from .logs import TCP_LOG
from .targets import Scene, cluster_name, live

_ATTEMPTS = 3  # to connect, each to another backend if there is one
_CONNECTIONS = "envoy.extensions.filters.network"


def stream_id(stream: Stream) -> str:
    """As `Rule.id` is for requests; "" if no object of the user's stands behind it."""
    of = stream.origin
    return f"{of.kind}/{of.namespace}/{of.name}/{stream.index}" if of else ""


def tcp_filter(stream: Stream, scene: Scene, mesh: bool) -> Fields:
    """A network filter. A share of a broken destination is closed (Gateway API, TCPRoute)."""
    shares = [(cluster_name(item, scene), item.weight) for item in live(stream.destinations)]
    if not shares:
        return closing_filter()
    clusters: Fields = {"cluster": shares[0][0]}
    if len(shares) > 1:
        weighted = [{"name": name, "weight": weight} for name, weight in shares]
        clusters = {"weighted_clusters": {"clusters": weighted}}
    if hashes_source(stream.destinations):
        clusters["hash_policy"] = [{"source_ip": {}}]
    return extension(
        "envoy.filters.network.tcp_proxy",
        xds.any_of(
            f"{_CONNECTIONS}.tcp_proxy.v3.TcpProxy",
            stat_prefix="mesh" if mesh else "gateway",
            **clusters,
            idle_timeout=milliseconds(0),  # keep-alives find peers that are gone
            max_connect_attempts=value(_ATTEMPTS),
            access_log=[TCP_LOG],
        ),
    )


def closing_filter() -> Fields:
    """A network filter that closes each connection."""
    return extension(
        "envoy.filters.network.direct_response",
        xds.any_of(f"{_CONNECTIONS}.direct_response.v3.Config"),
    )
