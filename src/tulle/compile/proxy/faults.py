"""Delays and aborts on purpose (Envoy's fault injection)."""

from __future__ import annotations

from tulle import xds
from tulle.model.routing_policies import Fault

from .fields import Fields, milliseconds


def fault_filter(fault: Fault) -> Fields:
    parts: Fields = {}
    if fault.delay_ms:
        parts["delay"] = {
            "fixed_delay": milliseconds(fault.delay_ms),
            "percentage": _share(fault.delay_share),
        }
    if fault.status or fault.grpc_status:
        code = {"http_status": fault.status} if fault.status else {"grpc_status": fault.grpc_status}
        parts["abort"] = {**code, "percentage": _share(fault.abort_share)}
    return xds.any_of(
        "envoy.extensions.filters.http.fault.v3.HTTPFault",
        headers=[{"name": name, "string_match": {"exact": text}} for name, text in fault.headers],
        **parts,
    )


def _share(millionths: int) -> Fields:
    return {"numerator": millionths, "denominator": "MILLION"}
