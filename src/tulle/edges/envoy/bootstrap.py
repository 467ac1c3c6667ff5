"""The configuration that an Envoy starts with: where its agent is, and how much it may keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tulle import xds
from tulle.compile.regex import MAX_PROGRAM
from tulle.model.proxy import AGENT, RUNTIME, TOLD_LAYER

# Each statistic costs memory for every cluster and listener; requests are told by access logs.
STATISTICS: tuple[dict[str, str], ...] = (
    {"prefix": "cluster_manager."},
    {"prefix": "control_plane."},
    {"prefix": "listener_manager."},
    {"prefix": "server."},
    {"suffix": ".downstream_cx_active"},
)
CONNECTIONS = 50_000  # of clients; what comes beyond is closed, or memory would have no bound
# Open files for each of them: its socket, one to a backend, and one for who asks for more at once.
# Without any left Envoy would neither take clients in nor close them, nor hear of its agent.
FILES = 3


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """`id` is this Envoy's among those of `node`; `agent` is where ADS is served.

    Paths are as the Envoy sees them, from where it is started; `files` may be open at once.
    """

    node: str
    id: str
    agent: Path
    admin: Path
    files: int

    def pack(self) -> bytes:
        """An envoy.config.bootstrap.v3.Bootstrap."""
        ads = {"ads": {}, "resource_api_version": "V3"}
        return xds.pack(
            "envoy.config.bootstrap.v3.Bootstrap",
            node={"id": self.id, "cluster": self.node},
            admin={"address": _pipe(self.admin)},
            static_resources={"clusters": [_agent(self.agent)]},
            dynamic_resources={
                "ads_config": _delta_ads(),
                "cds_config": ads,
                "lds_config": ads,
            },
            stats_config={"stats_matcher": {"inclusion_list": {"patterns": STATISTICS}}},
            overload_manager=_limits(self.files),
            bootstrap_extensions=[_internal_listeners()],
            layered_runtime={"layers": [_runtime(), _told(ads)]},
        )


def _pipe(path: Path) -> dict[str, Any]:
    return {"pipe": {"path": str(path), "mode": 0o600}}


def _delta_ads() -> dict[str, Any]:
    """Quick to come back: an agent that restarts must not be waited for."""
    backoff = {"base_interval": {"nanos": 50_000_000}, "max_interval": {"seconds": 1}}
    grpc = {"cluster_name": AGENT, "retry_policy": {"retry_back_off": backoff}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": grpc}],
    }


def _agent(path: Path) -> dict[str, Any]:
    http2 = xds.any_of(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http2_protocol_options": {}},
    )
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(path)}}}}
    return {
        "name": AGENT,
        "type": "STATIC",
        "connect_timeout": {"seconds": 1},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
        },
        "load_assignment": {
            "cluster_name": AGENT,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _limits(files: int) -> dict[str, Any]:
    monitor = xds.any_of(
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=min(CONNECTIONS, files // FILES),
    )
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": monitor}]}


def _internal_listeners() -> dict[str, Any]:
    config = xds.any_of("envoy.extensions.bootstrap.internal_listener.v3.InternalListener")
    return {"name": "envoy.bootstrap.internal_listener", "typed_config": config}


def _told(ads: dict[str, Any]) -> dict[str, Any]:
    return {"name": TOLD_LAYER, "rtds_layer": {"name": TOLD_LAYER, "rtds_config": ads}}


def _runtime() -> dict[str, Any]:
    """Envoy's own limit of expressions, 100, is met by one for a UUID."""
    values = {**dict.fromkeys(RUNTIME, True), "re2.max_program_size.error_level": MAX_PROGRAM}
    return {"name": "tulle", "static_layer": values}
