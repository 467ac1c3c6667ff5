"""Rows of GRPCRoute."""

from __future__ import annotations

from typing import Any

from tests.e2e.conformance.table import Check, Expect, Row, ask, http, says

UNIMPLEMENTED, UNAVAILABLE = 12, 14  # codes of gRPC


def call(path: str, expect: Expect, **more: Any) -> Check:
    return ask(path, expect, via="grpc", **more)


ROWS: tuple[Row, ...] = (
    http(
        "GRPCRoute",
        "methods, whole services and headers lead to their backends",
        """
        - matches: [{method: {service: shop.Cart, method: Add}}]
          backendRefs: [{name: one, port: 90}]
        - matches: [{method: {service: shop.Cart}}]
          backendRefs: [{name: two, port: 90}]
        - matches: [{method: {service: shop.Store}, headers: [{name: tier, value: gold}]}]
          backendRefs: [{name: three, port: 90}]
        - matches: [{method: {type: RegularExpression, service: "lab[.].*", method: "Get.*"}}]
          backendRefs: [{name: three, port: 90}]
        """,
        call("/shop.Cart/Add", says(status=0, backend="one", path="/shop.Cart/Add")),
        call("/shop.Cart/Remove", says(status=0, backend="two")),
        call("/shop.Store/Get", says(status=0, backend="three"), headers={"tier": "gold"}),
        call("/shop.Store/Get", says(status=UNIMPLEMENTED)),
        call("/lab.X/GetAll", says(status=0, backend="three")),
        call("/lab.X/PutAll", says(status=UNIMPLEMENTED)),
        kind="GRPCRoute",
    ),
    http(
        "GRPCRoute",
        "a rule without matches takes all, and shares by weight",
        """
        - backendRefs:
            - {name: one, port: 90, weight: 3}
            - {name: two, port: 90, weight: 1}
        """,
        call(
            "/any.Thing/Do",
            says(status=0, shares={"one": (0.6, 0.9), "two": (0.1, 0.4)}),
            count=100,
        ),
        kind="GRPCRoute",
        case="weights",
    ),
    http(
        "GRPCRouteNamedRouteRule",
        "rules have names",
        """
        - name: first
          matches: [{method: {service: shop.Cart}}]
          backendRefs: [{name: one, port: 90}]
        - name: second
          backendRefs: [{name: two, port: 90}]
        """,
        call("/shop.Cart/Add", says(status=0, backend="one")),
        call("/shop.Store/Add", says(status=0, backend="two")),
        kind="GRPCRoute",
    ),
    http(
        "GRPCRouteRequestHeaderModifier",
        "metadata of the request is set, added and removed",
        """
        - filters:
            - type: RequestHeaderModifier
              requestHeaderModifier:
                set: [{name: x-set, value: new}]
                add: [{name: x-add, value: more}]
                remove: [x-remove]
          backendRefs: [{name: one, port: 90}]
        """,
        call(
            "/shop.Cart/Add",
            says(status=0, got={"x-set": "new", "x-add": "more"}, not_got=("x-remove",)),
            headers={"x-set": "old", "x-remove": "me"},
        ),
        kind="GRPCRoute",
    ),
)
