"""Fronts → listeners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tulle import xds
from tulle.model.routing import Front
from tulle.model.world import IPAddress

from .chains import Chain, families_of
from .clusters import BUFFER_BYTES
from .datagrams import udp_filter
from .fields import Fields, extension, of_family, socket_address, value
from .logs import UNMATCHED_LOG
from .selection import match_of, matcher_of
from .sockets import listening
from .targets import Scene

_FILTERS = "envoy.extensions.filters.listener"
_INSPECTOR = extension(
    "envoy.filters.listener.tls_inspector",
    xds.any_of(f"{_FILTERS}.tls_inspector.v3.TlsInspector"),
)
_CLIENTS_ADDRESS = extension(
    "envoy.filters.listener.original_src", xds.any_of(f"{_FILTERS}.original_src.v3.OriginalSrc")
)


def tcp_listener(front: Front, chains: Sequence[Chain]) -> bytes:
    secure = any(server.protocol in ("HTTPS", "TLS") for server in front.servers)
    filters = [*([_INSPECTOR] if secure else []), *([_CLIENTS_ADDRESS] if front.mesh else [])]
    return _listener(
        front.name,
        front,
        front.addresses,
        listener_filters=filters,
        **_chosen(front, chains),
        per_connection_buffer_limit_bytes=value(BUFFER_BYTES),
        access_log=[UNMATCHED_LOG],
    )


def _chosen(front: Front, chains: Sequence[Chain]) -> Fields:
    if front.mesh or any(server.clients for server in front.servers):
        named = [(chain.selector, chain.name) for chain in chains]
        return {
            "filter_chains": [chain.fields for chain in chains],
            "filter_chain_matcher": matcher_of(named),
        }
    matched = [{**chain.fields, "filter_chain_match": match_of(chain.selector)} for chain in chains]
    return {"filter_chains": matched}


def udp_listeners(front: Front) -> Iterator[tuple[str, bytes]]:
    """By name. Of a mesh front one for each family, as its datagrams go on from their sender."""
    families = families_of(front)
    for family in families:
        name = front.name if family == families[0] else f"{front.name}/ipv{family}"
        addresses = of_family(front.addresses, family) if family else front.addresses
        yield (
            name,
            _listener(
                name,
                front,
                addresses,
                listener_filters=[udp_filter(front, Scene(front.port, False, family))],
                udp_listener_config={},
            ),
        )


def _listener(name: str, front: Front, addresses: Sequence[IPAddress], **fields: object) -> bytes:
    """Transparent, as the addresses are the clients' business and none of the node's own."""
    bound = [socket_address(address, front.port, front.protocol) for address in addresses]
    more: list[Fields] = [{"address": address} for address in bound[1:]]
    return xds.pack(
        "envoy.config.listener.v3.Listener",
        name=name,
        stat_prefix="mesh" if front.mesh else "gateway",
        address=bound[0],
        additional_addresses=more,
        transparent=value(True),
        enable_reuse_port=value(True),
        socket_options=listening(front.protocol),
        traffic_direction="OUTBOUND" if front.mesh else "INBOUND",
        **fields,
    )
