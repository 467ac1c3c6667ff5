"""Rows of what HTTPRoute's core promises, and of how its rules are matched."""

from __future__ import annotations

from tests.e2e.conformance.table import DOOR6, Row, ask, http, says

ONE = "[{name: one, port: 80}]"
TWO = "[{name: two, port: 80}]"
GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: from-shop, namespace: lab}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
  to: [{group: "", kind: Service, name: four}]
"""

CORE = (
    http(
        "HTTPRoute",
        "a path leads to its backend, on this node and on another",
        f"""
        - {{matches: [{{path: {{value: /one}}}}], backendRefs: {ONE}}}
        - {{matches: [{{path: {{value: /two}}}}], backendRefs: {TWO}}}
        """,
        ask("/one", says(backend="one", path="/one", host="httproute-simple.test")),
        ask("/two/more?x=1", says(backend="two", path="/two/more?x=1")),
        ask("/onetwo", says(status=404)),
        ask("/one", says(backend="one"), to=DOOR6),
        ask("/one", says(status=404), host="other.test"),
        case="simple",
    ),
    http(
        "HTTPRoute",
        "exact before longest prefix, then method, headers, parameters, and the order of rules",
        f"""
        - {{matches: [{{path: {{value: /}}}}], backendRefs: {ONE}}}
        - {{matches: [{{path: {{value: /a}}}}], backendRefs: {TWO}}}
        - matches: [{{path: {{type: Exact, value: /a}}}}]
          backendRefs: [{{name: three, port: 80}}]
        - matches: [{{path: {{value: /a}}, headers: [{{name: X-Tier, value: gold}}]}}]
          backendRefs: {ONE}
        - matches: [{{path: {{value: /a/}}, headers: [{{name: x-tier, value: gold}}]}}]
          backendRefs: {TWO}
        """,
        ask("/b", says(backend="one")),
        ask("/a/b", says(backend="two")),
        ask("/a", says(backend="three")),
        ask("/a/b", says(backend="one"), headers={"x-tier": "gold"}),
        case="precedence",
    ),
    http(
        "HTTPRoute",
        "headers match by value whatever the case of their name, and by expression",
        f"""
        - {{matches: [{{headers: [{{name: Version, value: one}}]}}], backendRefs: {ONE}}}
        - {{matches: [{{headers: [{{name: version, value: two}}]}}], backendRefs: {TWO}}}
        - matches: [{{headers: [{{type: RegularExpression, name: version, value: "v[0-9]+"}}]}}]
          backendRefs: {TWO}
        - matches:
            - headers: [{{name: version, value: four}}, {{name: color, value: blue}}]
            - headers: [{{name: color, value: green}}]
          backendRefs: {ONE}
        """,
        ask("/", says(backend="one"), headers={"VERSION": "one"}),
        ask("/", says(backend="two"), headers={"version": "two"}),
        ask("/", says(backend="two"), headers={"version": "v12"}),
        ask("/", says(status=404), headers={"version": "v12x"}),
        ask("/", says(backend="one"), headers={"version": "four", "color": "blue"}),
        ask("/", says(status=404), headers={"version": "four"}),
        ask("/", says(backend="one"), headers={"color": "green"}),
        ask("/", says(status=404)),
        case="headers",
    ),
    http(
        "HTTPRoute",
        "requests are shared by weight, and weight 0 takes none",
        """
        - backendRefs:
            - {name: one, port: 80, weight: 70}
            - {name: two, port: 80, weight: 30}
            - {name: three, port: 80, weight: 0}
        """,
        ask("/", says(shares={"one": (0.6, 0.8), "two": (0.2, 0.4)}), count=500),
        case="weights",
    ),
    http(
        "HTTPRoute",
        "another namespace's Service only with a ReferenceGrant, else 500",
        """
        - matches: [{path: {value: /granted}}]
          backendRefs: [{name: four, namespace: lab, port: 80}]
        - matches: [{path: {value: /missing}}]
          backendRefs: [{name: nobody, port: 80}]
        - matches: [{path: {value: /half}}]
          backendRefs: [{name: nobody, port: 80}, {name: one, port: 80}]
        - matches: [{path: {value: /kind}}]
          backendRefs: [{name: one, port: 80, kind: Bucket, group: storage.test}]
        - {matches: [{path: {value: /none}}]}
        """,
        ask("/granted", says(backend="four")),
        ask("/missing", says(status=500)),
        ask("/kind", says(status=500)),
        ask("/none", says(status=500)),
        case="references",
        more=GRANT,
    ),
    http(
        "HTTPRoute",
        "request headers are set, added and removed",
        f"""
        - filters:
            - type: RequestHeaderModifier
              requestHeaderModifier:
                set: [{{name: X-Set, value: new}}]
                add: [{{name: X-Add, value: more}}]
                remove: [X-Remove]
          backendRefs: {ONE}
        """,
        ask(
            "/",
            says(
                backend="one", got={"x-set": "new", "x-add": "some, ?more"}, not_got=("x-remove",)
            ),
            headers={"x-set": "old", "x-add": "some", "X-REMOVE": "me"},
        ),
        ask("/", says(got={"x-set": "new", "x-add": "more"})),
        case="request-headers",
    ),
    http(
        "HTTPRoute",
        "a redirect to another host keeps the rest, with 302 or 301",
        """
        - matches: [{path: {value: /found}}]
          filters: [{type: RequestRedirect, requestRedirect: {hostname: new.test}}]
        - matches: [{path: {value: /moved}}]
          filters:
            - type: RequestRedirect
              requestRedirect: {hostname: new.test, statusCode: 301}
        """,
        ask("/found?a=b", says(status=302, has={"location": "http://new.test/found\\?a=b"})),
        ask("/moved", says(status=301, has={"location": "http://new.test/moved"})),
        case="redirect",
    ),
    http(
        "HTTPRoute",
        "an exact hostname before a wildcard, which covers several labels and not its own suffix",
        f"""
        - {{backendRefs: {ONE}}}
        """,
        ask("/", says(backend="one"), host="a.wild-hosts.test"),
        ask("/", says(backend="one"), host="a.b.wild-hosts.test:80"),
        ask("/", says(backend="two"), host="exact.wild-hosts.test"),
        ask("/", says(status=404), host="wild-hosts.test"),
        case="hostnames",
        hostnames="['*.wild-hosts.test']",
        more=f"""
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: {{name: exact-host, namespace: shop}}
        spec:
          parentRefs: [{{name: door, sectionName: http}}]
          hostnames: [exact.wild-hosts.test]
          rules: [{{backendRefs: {TWO}}}]
        """,
    ),
    http(
        "GatewayRouteHostnameIntersectionPrecedence",
        "the route that names a host more exactly goes first, and leaves what it does not match",
        f"""
        - {{matches: [{{path: {{value: /exact}}}}], backendRefs: {ONE}}}
        """,
        ask("/exact", says(backend="one"), host="own.shared.test"),
        ask("/other", says(backend="two"), host="own.shared.test"),
        ask("/exact", says(backend="two"), host="www.shared.test"),
        hostnames="[own.shared.test]",
        more=f"""
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: {{name: wider-host, namespace: shop}}
        spec:
          parentRefs: [{{name: door, sectionName: http}}]
          hostnames: ["*.shared.test"]
          rules: [{{backendRefs: {TWO}}}]
        """,
    ),
    http(
        "HTTPRoute",
        "escapes in paths and parameters stay, and paths have a case",
        f"""
        - {{matches: [{{path: {{value: /v1}}}}], backendRefs: {ONE}}}
        """,
        ask("/v1/a%20b?x=%2F", says(backend="one", path="/v1/a%20b?x=%2F")),
        ask("/v1", says(backend="one")),
        ask("/V1", says(status=404)),
        case="paths",
    ),
)

MATCHES = (
    http(
        "HTTPRouteMethodMatching",
        "methods tell rules apart",
        f"""
        - {{matches: [{{method: POST}}], backendRefs: {ONE}}}
        - {{matches: [{{method: GET}}], backendRefs: {TWO}}}
        - matches: [{{method: PUT, path: {{value: /three}}}}]
          backendRefs: [{{name: three, port: 80}}]
        """,
        ask("/", says(backend="one"), method="POST"),
        ask("/", says(backend="two"), method="GET"),
        ask("/three", says(backend="three"), method="PUT"),
        ask("/", says(status=404), method="PUT"),
        ask("/", says(status=404), method="PATCH"),
    ),
    http(
        "HTTPRouteQueryParamMatching",
        "query parameters tell rules apart",
        f"""
        - {{matches: [{{queryParams: [{{name: animal, value: whale}}]}}], backendRefs: {ONE}}}
        - {{matches: [{{queryParams: [{{name: animal, value: dolphin}}]}}], backendRefs: {TWO}}}
        - matches:
            - queryParams: [{{name: animal, value: dolphin}}, {{name: color, value: blue}}]
          backendRefs: [{{name: three, port: 80}}]
        - matches: [{{queryParams: [{{type: RegularExpression, name: num, value: "[0-9]+"}}]}}]
          backendRefs: {TWO}
        """,
        ask("/?animal=whale", says(backend="one")),
        ask("/?animal=dolphin&color=red", says(backend="two")),
        ask("/?color=blue&animal=dolphin", says(backend="three")),
        ask("/?num=12", says(backend="two")),
        ask("/?num=x", says(status=404)),
        ask("/?ANIMAL=whale", says(status=404)),
        ask("/", says(status=404)),
    ),
    http(
        "HTTPRouteNamedRouteRule",
        "rules have names, which flows tell",
        f"""
        - {{name: first, matches: [{{path: {{value: /one}}}}], backendRefs: {ONE}}}
        - {{name: second, matches: [{{path: {{value: /two}}}}], backendRefs: {TWO}}}
        """,
        ask("/one", says(backend="one")),
        ask("/two", says(backend="two")),
    ),
    http(
        "HTTPRouteParentRefPort",
        "a route that names a port of its parent is not served on the others",
        f"""
        - {{backendRefs: {ONE}}}
        """,
        ask("/", says(backend="one"), port=8080),
        ask("/", says(status=404)),
        parents="[{name: door, port: 8080}]",
    ),
    http(
        "HTTPRouteDestinationPortMatching",
        "a route without a port or listener is served on all that allow it",
        f"""
        - {{backendRefs: {ONE}}}
        """,
        ask("/", says(backend="one"), port=8080),
        ask("/", says(backend="one")),
        parents="[{name: door}]",
    ),
)

ROWS: tuple[Row, ...] = CORE + MATCHES
