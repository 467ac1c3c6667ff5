"""Resources of an image as JSON values, in the words of Envoy's documentation."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf import json_format

from tulle import xds
from tulle.model.proxy import XdsImage, XdsKind

KINDS = {
    "cluster": "envoy.config.cluster.v3.Cluster",
    "endpoints": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "listener": "envoy.config.listener.v3.Listener",
    "route": "envoy.config.route.v3.RouteConfiguration",
    "secret": "envoy.extensions.transport_sockets.tls.v3.Secret",
}

Json = dict[str, Any]


def decoded(image: XdsImage, kind: XdsKind, name: str) -> Json:
    return of_message(KINDS[kind], image[kind][name].body)


def of_message(name: str, body: bytes) -> Json:
    made = xds.message(name).FromString(body)
    pool = made.DESCRIPTOR.file.pool
    found = json_format.MessageToDict(made, preserving_proto_field_name=True, descriptor_pool=pool)
    return cast(Json, found)


def of_any(fields: Json) -> Json:
    """What an extension's `typed_config` holds."""
    return of_message(fields["type_url"].rpartition("/")[2], fields["value"])
