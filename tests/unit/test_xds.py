"""Messages are made from their own descriptors, deterministically, and mistakes are told."""

from __future__ import annotations

from typing import Any

import pytest

from tulle import xds

# What a configuration with every feature is made of.
WANTED = """
envoy.config.bootstrap.v3.Bootstrap envoy.config.cluster.v3.Cluster
envoy.config.endpoint.v3.ClusterLoadAssignment envoy.config.listener.v3.Listener
envoy.config.route.v3.RouteConfiguration envoy.config.core.v3.TypedExtensionConfig
envoy.config.rbac.v3.RBAC envoy.service.discovery.v3.DeltaDiscoveryRequest
envoy.service.accesslog.v3.StreamAccessLogsMessage
envoy.extensions.transport_sockets.tls.v3.Secret
envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport
envoy.extensions.bootstrap.internal_listener.v3.InternalListener
envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
envoy.extensions.filters.network.rbac.v3.RBAC
envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig
envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig
envoy.extensions.filters.listener.original_src.v3.OriginalSrc
envoy.extensions.filters.listener.original_dst.v3.OriginalDst
envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector
envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol
envoy.extensions.filters.http.router.v3.Router envoy.extensions.filters.http.rbac.v3.RBAC
envoy.extensions.filters.http.cors.v3.CorsPolicy
envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
envoy.extensions.filters.http.fault.v3.HTTPFault
envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
envoy.extensions.filters.http.stateful_session.v3.StatefulSession
envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState
envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState
envoy.extensions.filters.http.header_to_metadata.v3.Config
envoy.extensions.filters.http.set_filter_state.v3.Config
envoy.extensions.upstreams.http.v3.HttpProtocolOptions
envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
envoy.extensions.access_loggers.file.v3.FileAccessLog
envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest
envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash
envoy.extensions.load_balancing_policies.maglev.v3.Maglev
envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig
envoy.extensions.matching.input_matchers.ip.v3.Ip
xds.type.matcher.v3.Matcher envoy.config.core.v3.HealthCheck
"""


@pytest.mark.parametrize("name", WANTED.split())
def test_it_is_there(name: str) -> None:
    assert xds.message(name)().SerializeToString() == b""


def test_fields_are_nested_dicts() -> None:
    fields: dict[str, Any] = {
        "name": "web",
        "lb_policy": "MAGLEV",
        "connect_timeout": {"nanos": 250_000_000},
        "typed_extension_protocol_options": {
            "http": xds.any_of("envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
        },
    }
    packed = xds.pack("envoy.config.cluster.v3.Cluster", **fields)
    read: Any = xds.message("envoy.config.cluster.v3.Cluster").FromString(packed)
    assert (read.name, read.lb_policy, read.connect_timeout.nanos) == ("web", 5, 250_000_000)
    (option,) = read.typed_extension_protocol_options.values()
    assert option.type_url.endswith("/envoy.extensions.upstreams.http.v3.HttpProtocolOptions")


def test_the_order_of_a_map_does_not_matter() -> None:
    one = {f"key{n}": {"fields": {}} for n in range(20)}
    other = dict(reversed(one.items()))
    name = "envoy.config.core.v3.Metadata"
    assert xds.pack(name, filter_metadata=one) == xds.pack(name, filter_metadata=other)


def test_mistakes_are_told() -> None:
    with pytest.raises(KeyError, match="Nonesuch"):
        xds.message("envoy.config.cluster.v3.Nonesuch")
    with pytest.raises(ValueError, match='"nmae"'):
        xds.pack("envoy.config.cluster.v3.Cluster", nmae="web")
    with pytest.raises(ValueError, match="BEST"):
        xds.pack("envoy.config.cluster.v3.Cluster", lb_policy="BEST")
