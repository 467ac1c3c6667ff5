"""UDP: each client's datagrams are a session with one backend."""

from __future__ import annotations

from tulle import xds
from tulle.model.routing import Destination, Front

from .fields import Fields, extension
from .logs import TCP_LOG
from .targets import NOWHERE, Scene, live, target_of

_PROXY = "envoy.extensions.filters.udp.udp_proxy.v3"


def destination_of(front: Front) -> Destination | None:
    """Envoy has no weights for datagrams: the heaviest has them all, of those the first."""
    streams = [stream for server in front.servers for stream in server.streams]
    destinations = live(streams[0].destinations) if streams else []
    return max(destinations, key=lambda item: item.weight, default=None)


def udp_filter(front: Front, scene: Scene) -> Fields:
    """A listener filter. What is for a broken destination is dropped."""
    destination = destination_of(front)
    usable = destination is not None and not destination.broken
    cluster = target_of(destination, scene).name if destination and usable else NOWHERE
    route = extension("route", xds.any_of(f"{_PROXY}.Route", cluster=cluster))
    return extension(
        "envoy.filters.udp_listener.udp_proxy",
        xds.any_of(
            f"{_PROXY}.UdpProxyConfig",
            stat_prefix="mesh" if front.mesh else "gateway",
            matcher={"on_no_match": {"action": route}},
            use_original_src_ip=front.mesh,
            access_log=[TCP_LOG],
        ),
    )
