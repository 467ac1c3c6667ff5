"""UDP: each client's datagrams are a session with one backend."""

from __future__ import annotations

from dataclasses import replace

from tulle import xds
from tulle.model.routing import Front

from .fields import Fields, extension
from .logs import TCP_LOG
from .targets import NOWHERE, Part, Scene, Target, blended, live, target_of

_PROXY = "envoy.extensions.filters.udp.udp_proxy.v3"


def target_of_datagrams(front: Front, scene: Scene) -> Target | None:
    """Envoy has no weighted clusters for datagrams, so that all destinations are one.

    The share of a broken one is lost, as the Gateway API has it (UDPRoute).
    """
    streams = [stream for server in front.servers for stream in server.streams]
    destinations = live(streams[0].destinations) if streams else []
    targets = [target_of(item, scene) for item in destinations]
    first = next((target for target in targets if target is not None), None)
    if first is None:
        return None
    nowhere = replace(first, parts=(Part(None, 0),))
    weights = [item.weight for item in destinations]
    alike = [replace(first, parts=(target or nowhere).parts) for target in targets]
    return blended(list(zip(alike, weights, strict=True)))


def udp_filter(front: Front, scene: Scene) -> Fields:
    """A listener filter. Without a target all is lost."""
    target = target_of_datagrams(front, scene)
    route = extension(
        "route", xds.any_of(f"{_PROXY}.Route", cluster=target.name if target else NOWHERE)
    )
    return extension(
        "envoy.filters.udp_listener.udp_proxy",
        xds.any_of(
            f"{_PROXY}.UdpProxyConfig",
            stat_prefix="mesh" if front.mesh else "gateway",
            matcher={"on_no_match": {"action": route}},
            use_original_src_ip=front.mesh,
            hash_policies=[{"source_ip": True}],
            access_log=[TCP_LOG],
        ),
    )
