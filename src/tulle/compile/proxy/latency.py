"""Balancing by latency: who answers in half the time gets twice the requests.

Envoy's client-side weighted round robin has its weights from load reports that backends send along
with their answers (ORCA). Here the proxy writes the report itself, from the time between the end of
the request and the first byte of the answer, and takes it off before the client sees it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tulle import xds
from tulle.model.routing import Destination
from tulle.model.routing_policies import BackendTraffic

from .fields import Fields, extension, milliseconds

KIND = "Latency"
REPORT = "endpoint-load-metrics"

_FILTERS = "envoy.extensions.filters.http"
_UPDATE_MS = 1000  # weights hold so long; a backend's first second counts for nothing
_EXPIRATION_MS = 180_000  # who was not heard of for longer is taken for one of the middle
_SCALE = 1_000_000_000  # weights are whole numbers: this by microseconds
_TOOK = "%COMMON_DURATION(US_TX_END:US_RX_BEG:us)%"
_TEXT = f"TEXT application_utilization={_TOOK},rps_fractional={_SCALE}"


def policy() -> Fields:
    """A load balancing policy."""
    package = "client_side_weighted_round_robin"
    config = xds.any_of(
        f"envoy.extensions.load_balancing_policies.{package}.v3.ClientSideWeightedRoundRobin",
        blackout_period=milliseconds(_UPDATE_MS),
        weight_update_period=milliseconds(_UPDATE_MS),
        weight_expiration_period=milliseconds(_EXPIRATION_MS),
    )
    return extension(f"envoy.load_balancing_policies.{package}", config)


def upstream_filters(traffic: BackendTraffic | None) -> list[Fields]:
    """HTTP filters of a cluster. What a backend reports itself is overwritten."""
    if traffic is None or traffic.balancing.kind != KIND:
        return []
    report = {
        "header": {"key": REPORT, "value": _TEXT},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    mutations = {"response_mutations": [{"append": report}]}
    writer = xds.any_of(f"{_FILTERS}.header_mutation.v3.HeaderMutation", mutations=mutations)
    codec = xds.any_of(f"{_FILTERS}.upstream_codec.v3.UpstreamCodec")
    return [
        extension("envoy.filters.http.header_mutation", writer),
        extension("envoy.filters.http.upstream_codec", codec),
    ]


def hidden(destinations: Iterable[Destination]) -> list[str]:
    """Headers of answers that clients are not to see."""
    kinds = {item.traffic.balancing.kind for item in destinations if item.traffic}
    return [REPORT] if KIND in kinds else []
