"""Rule sets → listeners: for HTTP, for TLS by the name that its client sends, for nothing else.

The kernel gives them the connections whose rules they bear, with their own addresses at both ends.
They go on to whom they were for, from the client's address, with a mark that says which rules have
been enforced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tulle import xds
from tulle.abi import Mark
from tulle.model.access import AUDITED, DENIED
from tulle.model.proxy import RULES_ADDRESSES

from ..rule_sets import Part, RuleSet
from .balancing import use_of
from .clusters import BUFFER_BYTES
from .fields import ADS, Fields, extension, milliseconds, socket_address, value
from .http import NOBODY, UNNOTICED
from .logs import EVERY_REQUEST_LOG, HTTP_LOG, TCP_LOG, UNMATCHED_LOG, marks
from .policy_routes import ORIGINAL, name_of, names_of, rule_id
from .sockets import KEEPALIVE, as_client, listening
from .targets import NOWHERE

_LISTENER = "envoy.extensions.filters.listener"
_NETWORK = "envoy.extensions.filters.network"
_INPUTS = "envoy.extensions.matching.common_inputs.network.v3"
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CONNECT_MS = 3000
_IDLE_MS = 30_000
_FORGET_MS = 60_000  # hosts that nobody asks for any more
_HEADERS_MS = 10_000
_SILENT_MS = 500  # a client that waits for the server's first word is no HTTP client
_HTTP, _OTHER = "http", "other"
_LABEL = "[^.]+"


def cluster() -> bytes:
    """Whom a connection was for, in the client's name."""
    options = xds.any_of(
        _OPTIONS,
        common_http_protocol_options={"idle_timeout": milliseconds(_IDLE_MS)},
        use_downstream_protocol_config={"http_protocol_options": {}, "http2_protocol_options": {}},
    )
    return xds.pack(
        "envoy.config.cluster.v3.Cluster",
        name=ORIGINAL,
        type="ORIGINAL_DST",
        lb_policy="CLUSTER_PROVIDED",
        cleanup_interval=milliseconds(_FORGET_MS),
        connect_timeout=milliseconds(_CONNECT_MS),
        per_connection_buffer_limit_bytes=value(BUFFER_BYTES),
        upstream_bind_config=as_client(),
        upstream_connection_options=KEEPALIVE,
        typed_extension_protocol_options={_OPTIONS: options},
        **use_of(None, web=True),
    )


def listener(rules: RuleSet) -> bytes:
    bound = [socket_address(address, rules.number) for address in RULES_ADDRESSES]
    return xds.pack(
        "envoy.config.listener.v3.Listener",
        name=name_of(rules),
        stat_prefix="policy",
        address=bound[0],
        additional_addresses=[{"address": address} for address in bound[1:]],
        transparent=value(True),
        enable_reuse_port=value(True),
        socket_options=listening("TCP", rules.number),
        traffic_direction="INBOUND",
        listener_filters=list(_listener_filters(rules)),
        listener_filters_timeout=milliseconds(_SILENT_MS if rules.audit else _HEADERS_MS),
        continue_on_listener_filters_timeout=rules.audit,
        filter_chain_matcher=_matcher(rules),
        filter_chains=list(_chains(rules)),
        per_connection_buffer_limit_bytes=value(BUFFER_BYTES),
        access_log=[UNMATCHED_LOG],
    )


def reads_http(rules: RuleSet) -> bool:
    """Rules that allow nothing tell so in HTTP."""
    named = any(part.layer7.server_names for part in rules.parts)
    return any(part.layer7.http for part in rules.parts) or not named


def _named(rules: RuleSet) -> Iterator[Part]:
    return (part for part in rules.parts if part.layer7.server_names)


def _listener_filters(rules: RuleSet) -> Iterator[Fields]:
    yield _filter("original_dst", "OriginalDst")
    yield _filter("original_src", "OriginalSrc", mark=Mark.PROXY | rules.number)
    if rules.audit or any(_named(rules)):
        yield _filter("tls_inspector", "TlsInspector")
    if rules.audit:
        yield _filter("http_inspector", "HttpInspector")


def _filter(name: str, message: str, **fields: object) -> Fields:
    config = xds.any_of(f"{_LISTENER}.{name}.v3.{message}", **fields)
    return extension(f"envoy.filters.listener.{name}", config)


# --- chains ---


def _chains(rules: RuleSet) -> Iterator[Fields]:
    if reads_http(rules):
        yield _chain(rules, _HTTP, _http(rules))
    for part in _named(rules):
        rule = rule_id(part.rule, part.layer7.place)
        yield _chain(rules, rule, _PASSING, f"{rule}.serverNames")
    if rules.audit:
        yield _chain(rules, _OTHER, _PASSING, f"{AUDITED}{names_of(rules)}")
    elif any(_named(rules)):
        yield _chain(rules, _OTHER, _CLOSING, f"{DENIED}{names_of(rules)}")


def _chain(rules: RuleSet, name: str, last: Fields, rule: str = "") -> Fields:
    return {"name": name, "filters": [marks(name_of(rules), rule), last]}


def _http(rules: RuleSet) -> Fields:
    """Judges each request, and changes nothing of it that nobody asked for.

    What follows an upgrade to WebSocket goes on only once the backend has agreed to it: one that
    does not know it could take that for requests. In audit mode no path is refused, as nothing is.
    """
    strict: Fields = {"path_with_escaped_slashes_action": "REJECT_REQUEST"}
    return extension(
        "envoy.filters.network.http_connection_manager",
        xds.any_of(
            f"{_NETWORK}.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="policy",
            rds={"config_source": ADS, "route_config_name": name_of(rules)},
            http_filters=[_ROUTER],
            normalize_path=value(True),
            merge_slashes=True,
            http_protocol_options={"accept_http_10": True, "allow_custom_methods": True},
            upgrade_configs=[{"upgrade_type": "websocket"}],
            server_header_transformation="PASS_THROUGH",
            skip_xff_append=True,
            internal_address_config=NOBODY,
            request_headers_timeout=milliseconds(_HEADERS_MS),
            stream_idle_timeout=milliseconds(0),
            generate_request_id=value(False),
            access_log=[EVERY_REQUEST_LOG if rules.audit else HTTP_LOG],
            **UNNOTICED,
            **({} if rules.audit else strict),
        ),
    )


_ROUTER = extension(
    "envoy.filters.http.router",
    xds.any_of("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
)


def _to(cluster: str) -> Fields:
    return extension(
        "envoy.filters.network.tcp_proxy",
        xds.any_of(
            f"{_NETWORK}.tcp_proxy.v3.TcpProxy",
            stat_prefix="policy",
            cluster=cluster,
            idle_timeout=milliseconds(0),
            access_log=[TCP_LOG],
        ),
    )


_PASSING, _CLOSING = _to(ORIGINAL), _to(NOWHERE)


# --- which connection goes into which ---


def _matcher(rules: RuleSet) -> Fields:
    """What none of them takes is closed, and nobody connects to the backend."""
    matchers = [
        _on(_any_name(part), rule_id(part.rule, part.layer7.place)) for part in _named(rules)
    ]
    if reads_http(rules):
        matchers.append(_on(_is_http(rules), _HTTP))
    last = {"on_no_match": _take(_OTHER)} if rules.audit or any(_named(rules)) else {}
    return {"matcher_list": {"matchers": matchers}} | last


def _on(predicate: Fields, chain: str) -> Fields:
    return {"predicate": predicate, "on_match": _take(chain)}


def _take(chain: str) -> Fields:
    config = xds.any_of("google.protobuf.StringValue", value=chain)
    return {"action": extension(chain, config)}


def _is_http(rules: RuleSet) -> Fields:
    plain = _single("TransportProtocolInput", {"exact": "raw_buffer"})
    if not rules.audit:
        return plain
    known = _single("ApplicationProtocolInput", {"safe_regex": _regex(".*'(http/1\\.[01]|h2c)'.*")})
    return {"and_matcher": {"predicate": [plain, known]}}


def _any_name(part: Part) -> Fields:
    named = [
        _single("ServerNameInput", {"safe_regex": _regex(_pattern(name))})
        for name in part.layer7.server_names
    ]
    return named[0] if len(named) == 1 else {"or_matcher": {"predicate": named}}


def _pattern(name: str) -> str:
    """
    >>> _pattern("*.a.test"), _pattern("**.a.test")
    ('(?i)[^.]+\\\\.a\\\\.test', '(?i)([^.]+\\\\.)+a\\\\.test')
    """
    stars, dot, rest = name.partition(".")
    if stars == "*":
        return f"(?i){_LABEL}\\.{re.escape(rest)}"
    if stars == "**":
        return f"(?i)({_LABEL}\\.)+{re.escape(rest)}"
    return f"(?i){re.escape(stars + dot + rest)}"


def _regex(text: str) -> Fields:
    """In xDS's own words, which are not quite Envoy's."""
    return {"google_re2": {}, "regex": text}


def _single(name: str, match: Fields) -> Fields:
    return {
        "single_predicate": {
            "input": extension(name, xds.any_of(f"{_INPUTS}.{name}")),
            "value_match": match,
        }
    }
