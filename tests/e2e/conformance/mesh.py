"""Rows of routes whose parent is a Service (GAMMA)."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.e2e.conformance.table import (
    Check,
    Expect,
    Row,
    objects_of,
    route,
    says,
    slug,
)

_NUMBERS = count(1)


def mesh(
    feature: str,
    what: str,
    rules: str,
    *checks: tuple[Expect, str, dict[str, Any]],
    case: str = "",
    kind: str = "HTTPRoute",
    more: str = "",
    namespace: str = "shop",
    port: int = 80,
) -> Row:
    """A Service of the backend `one` with an address of its own, and a route for it."""
    name, address = slug(feature, case), f"10.96.200.{next(_NUMBERS)}"
    target = {80: 8080, 90: 9090}[port]
    service = f"""
    apiVersion: v1
    kind: Service
    metadata: {{name: {name}, namespace: shop}}
    spec:
      clusterIP: {address}
      selector: {{app: one}}
      ports:
        - {{name: http, port: {port}, targetPort: {target}}}
        - {{name: raw, port: 88, targetPort: {target}}}
    """
    parents = f'[{{group: "", kind: Service, name: {name}, namespace: shop, port: {port}}}]'
    made = route(name, rules, kind, parents, "", namespace)
    asked = tuple(
        Check({"via": "http", "to": address, "port": port, "host": name, **ask}, expect, client)
        for expect, client, ask in checks
    )
    return Row(feature, what, (*objects_of(service), made, *objects_of(more)), asked, case)


def to(
    path: str, expect: Expect, client: str = "client", **more: Any
) -> tuple[Expect, str, dict[str, Any]]:
    """A request to the row's own Service."""
    if "headers" in more:
        more["headers"] = [list(item) for item in more["headers"].items()]
    return expect, client, {"path": path, **more}


ONE = "[{name: one, port: 80}]"
TWO = "[{name: two, port: 80}]"

ROWS: tuple[Row, ...] = (
    mesh(
        "Mesh",
        "a Service's route shares its requests among others' backends, on two nodes",
        f"""
        - matches: [{{headers: [{{name: version, value: two}}]}}]
          backendRefs: {TWO}
        - backendRefs: [{{name: one, port: 80, weight: 9}}, {{name: two, port: 80, weight: 1}}]
        """,
        to("/", says(shares={"one": (0.8, 0.98), "two": (0.02, 0.2)}), count=300),
        to("/", says(backend="two"), headers={"version": "two"}),
        to("/", says(backend="one"), port=88),
    ),
    mesh(
        "Mesh",
        "a route that matches nothing answers 404, one without its backend 500",
        """
        - matches: [{path: {value: /broken}}]
          backendRefs: [{name: nobody, port: 80}]
        """,
        to("/", says(status=404)),
        to("/broken", says(status=500)),
        case="errors",
    ),
    mesh(
        "MeshClusterIPMatching",
        "the route holds for the Service's address, whatever the host, and not for its backends'",
        f"""
        - {{backendRefs: {TWO}}}
        """,
        to("/", says(backend="two"), host="anything.test"),
        to("/", says(backend="two")),
    ),
    mesh(
        "MeshConsumerRoute",
        "a route in the client's namespace holds for clients there only",
        """
        - filters:
            - type: ResponseHeaderModifier
              responseHeaderModifier: {set: [{name: X-Route, value: consumer}]}
          backendRefs: [{name: meshconsumerroute, namespace: shop, port: 80}]
        """,
        to("/", says(backend="one", has_not=("x-route",))),
        to("/", says(backend="one", has={"x-route": "consumer"}), client="tenant"),
        namespace="lab",
        more="""
        apiVersion: gateway.networking.k8s.io/v1beta1
        kind: ReferenceGrant
        metadata: {name: from-lab, namespace: shop}
        spec:
          from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: lab}]
          to: [{group: "", kind: Service}]
        """,
    ),
    mesh(
        "MeshGRPCRoute",
        "methods lead to their backends",
        """
        - matches: [{method: {service: shop.Cart}}]
          backendRefs: [{name: two, port: 90}]
        - backendRefs: [{name: one, port: 90}]
        """,
        to("/shop.Cart/Add", says(status=0, backend="two"), via="grpc"),
        to("/shop.Store/Add", says(status=0, backend="one"), via="grpc"),
        kind="GRPCRoute",
        port=90,
    ),
    mesh(
        "MeshHTTPRouteBackendRequestHeaderModification",
        "headers are changed for one backend",
        """
        - backendRefs:
            - name: one
              port: 80
              filters:
                - type: RequestHeaderModifier
                  requestHeaderModifier:
                    set: [{name: X-Set, value: new}]
                    remove: [X-Remove]
        """,
        to("/", says(got={"x-set": "new"}, not_got=("x-remove",)), headers={"x-remove": "me"}),
    ),
    mesh(
        "MeshHTTPRouteNamedRouteRule",
        "rules have names",
        f"""
        - {{name: first, matches: [{{path: {{value: /two}}}}], backendRefs: {TWO}}}
        - {{name: second, backendRefs: {ONE}}}
        """,
        to("/two", says(backend="two")),
        to("/", says(backend="one")),
    ),
    mesh(
        "MeshHTTPRouteQueryParamMatching",
        "query parameters tell rules apart",
        f"""
        - {{matches: [{{queryParams: [{{name: animal, value: whale}}]}}], backendRefs: {TWO}}}
        - {{backendRefs: {ONE}}}
        """,
        to("/?animal=whale", says(backend="two")),
        to("/?animal=cow", says(backend="one")),
    ),
    mesh(
        "MeshHTTPRouteRedirectPath",
        "a redirect replaces the path",
        """
        - filters:
            - type: RequestRedirect
              requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /new}}
        """,
        to("/old", says(status=302, has={"location": "http://meshhttprouteredirectpath/new"})),
    ),
    mesh(
        "MeshHTTPRouteRedirectPort",
        "a redirect replaces the port",
        """
        - filters: [{type: RequestRedirect, requestRedirect: {port: 8083}}]
        """,
        to("/a", says(status=302, has={"location": "http://meshhttprouteredirectport:8083/a"})),
    ),
    mesh(
        "MeshHTTPRouteRewritePath",
        "the backend sees another path",
        f"""
        - matches: [{{path: {{value: /prefix}}}}]
          filters:
            - type: URLRewrite
              urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /one}}}}
          backendRefs: {ONE}
        """,
        to("/prefix/two?x=1", says(backend="one", path="/one/two?x=1")),
    ),
    mesh(
        "MeshHTTPRouteSchemeRedirect",
        "a redirect replaces the scheme, with 301",
        """
        - filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
        """,
        to("/a", says(status=301, has={"location": "https://meshhttprouteschemeredirect/a"})),
    ),
)
