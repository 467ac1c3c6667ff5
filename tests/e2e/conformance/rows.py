"""All rows, by the tests that try them."""

from __future__ import annotations

from tests.e2e.conformance import gateways, grpc, http_core, http_filters, http_times, mesh, streams

ROUTES = http_core.ROWS + http_filters.ROWS + http_times.ROWS + grpc.ROWS
GATEWAYS = gateways.ROWS + streams.ROWS + streams.TLS_ROWS
MESH = mesh.ROWS
ALL = ROUTES + GATEWAYS + MESH
