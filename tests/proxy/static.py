"""An XdsImage as a bootstrap: what would come by ADS stands in it from the start.

So that the real Envoy serves an image, or judges one, without an agent and without rights: sockets
are neither marked nor transparent, and connections come from whom they come.
"""

from __future__ import annotations

from typing import Any

from tulle import xds
from tulle.model.proxy import AGENT, RUNTIME, Resource, XdsImage

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_DOWNSTREAM = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
_UPSTREAM = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_CLIENTS_ADDRESS = "envoy.filters.listener.original_src"

Proto = Any  # a message of a pool that mypy does not see


def bootstrap(image: XdsImage, admin: str = "") -> bytes:
    """An envoy.config.bootstrap.v3.Bootstrap. `admin` is the path of a socket, "" for none."""
    made: Proto = xds.message("envoy.config.bootstrap.v3.Bootstrap")()
    made.node.id = made.node.cluster = "test"
    layer = made.layered_runtime.layers.add(name="tulle")
    for name in RUNTIME:
        layer.static_layer.fields[name].bool_value = True
    # as few statistics as an agent's Envoy has
    made.stats_config.stats_matcher.inclusion_list.patterns.add(prefix="server.")
    if admin:
        made.admin.address.pipe.path = admin
    for resource in image["cluster"].values():
        made.static_resources.clusters.append(_cluster(resource, image))
    made.static_resources.clusters.append(_logs())
    for resource in image["listener"].values():
        made.static_resources.listeners.append(_listener(resource, image))
    result: bytes = made.SerializeToString()
    return result


def _logs() -> Proto:
    """Nobody listens there: the proxy has to bear that."""
    made: Proto = xds.message("envoy.config.cluster.v3.Cluster")(
        name=AGENT,
        load_assignment={
            "cluster_name": AGENT,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "@nobody"}}}}]}
            ],
        },
    )
    return made


def _cluster(resource: Resource, image: XdsImage) -> Proto:
    made: Proto = xds.message("envoy.config.cluster.v3.Cluster").FromString(resource.body)
    name = made.eds_cluster_config.service_name
    made.ClearField("eds_cluster_config")
    made.ClearField("upstream_bind_config")
    made.type = 0  # STATIC
    made.load_assignment.MergeFromString(image["endpoints"][name].body)
    made.load_assignment.cluster_name = made.name
    if made.HasField("transport_socket"):
        _inline(made.transport_socket.typed_config, _UPSTREAM, image)
    return made


def _listener(resource: Resource, image: XdsImage) -> Proto:
    made: Proto = xds.message("envoy.config.listener.v3.Listener").FromString(resource.body)
    made.ClearField("transparent")
    made.ClearField("socket_options")
    kept = [item for item in made.listener_filters if item.name != _CLIENTS_ADDRESS]
    del made.listener_filters[:]
    made.listener_filters.extend(kept)
    for chain in made.filter_chains:
        if chain.HasField("transport_socket"):
            _inline(chain.transport_socket.typed_config, _DOWNSTREAM, image)
        for item in chain.filters:
            if item.typed_config.type_url.endswith(_HCM):
                _with_routes(item.typed_config, image)
    return made


def _with_routes(config: Proto, image: XdsImage) -> None:
    manager: Proto = xds.message(_HCM).FromString(config.value)
    table = image["route"][manager.rds.route_config_name]
    manager.route_config.MergeFromString(table.body)
    manager.route_config.validate_clusters.value = False  # as with RDS
    config.value = manager.SerializeToString()


def _inline(config: Proto, kind: str, image: XdsImage) -> None:
    """Secrets where they are asked for."""
    context: Proto = xds.message(kind).FromString(config.value)
    common = context.common_tls_context
    for asked in common.tls_certificate_sds_secret_configs:
        common.tls_certificates.append(_secret(asked.name, image).tls_certificate)
    common.ClearField("tls_certificate_sds_secret_configs")
    authorities: Proto = None
    if common.HasField("validation_context_sds_secret_config"):
        name = common.validation_context_sds_secret_config.name
        authorities = _secret(name, image).validation_context
    elif common.HasField("combined_validation_context"):
        combined = common.combined_validation_context
        authorities = _secret(combined.validation_context_sds_secret_config.name, image)
        authorities = authorities.validation_context
        authorities.MergeFrom(combined.default_validation_context)
    if authorities is not None:
        common.validation_context.CopyFrom(authorities)
    config.value = context.SerializeToString()


def _secret(name: str, image: XdsImage) -> Proto:
    kind = xds.message("envoy.extensions.transport_sockets.tls.v3.Secret")
    return kind.FromString(image["secret"][name].body)
