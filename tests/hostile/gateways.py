"""One valid manifest of each kind of the Gateway API, of Ingress, and of what they refer to."""

from __future__ import annotations

from typing import Any

_GROUP = "gateway.networking.k8s.io"
_PATH = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2"}
_AUTH = {
    "protocol": "HTTP",
    "backendRef": {"name": "auth", "port": 80},
    "http": {"path": "/check", "allowedHeaders": ["cookie"]},
    "forwardBody": {"maxSize": 1024},
}
_LISTENERS: list[dict[str, Any]] = [
    {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.org"},
    {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": "tls", "namespace": "shop"}]},
        "allowedRoutes": {
            "namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}},
            "kinds": [{"kind": "HTTPRoute"}],
        },
    },
    {"name": "sni", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
]


def _object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "shop.example", "namespace": "shop"}
    return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}


CLASS: dict[str, Any] = {
    "apiVersion": f"{_GROUP}/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "tulle"},
    "spec": {"controllerName": "tulle.io/gateway-controller", "description": "of the node"},
}
GATEWAY = _object(
    "Gateway",
    {
        "gatewayClassName": "tulle",
        "listeners": _LISTENERS,
        "addresses": [{"value": "192.0.2.10"}, {"type": "Hostname", "value": "a.example"}],
        "allowedListeners": {"namespaces": {"from": "Same"}},
        "infrastructure": {"labels": {"team": "shop"}, "annotations": {"a.example/b": "any text"}},
        "tls": {
            "frontend": {
                "default": {},
                "perPort": [
                    {
                        "port": 443,
                        "tls": {
                            "validation": {
                                "caCertificateRefs": [
                                    {"group": "", "kind": "ConfigMap", "name": "ca"}
                                ]
                            }
                        },
                    }
                ],
            },
            "backend": {"clientCertificateRef": {"name": "client"}},
        },
    },
)
LISTENER_SET = _object("ListenerSet", {"parentRef": {"name": "shop"}, "listeners": _LISTENERS})
GRANT: dict[str, Any] = _object(
    "ReferenceGrant",
    {
        "from": [{"group": _GROUP, "kind": "HTTPRoute", "namespace": "web"}],
        "to": [{"group": "", "kind": "Service", "name": "api"}, {"group": "", "kind": "Secret"}],
    },
)
BACKEND_TLS = _object(
    "BackendTLSPolicy",
    {
        "targetRefs": [
            {"group": "", "kind": "Service", "name": "api", "sectionName": "https"},
            {"group": "", "kind": "Service", "name": "api", "sectionName": "admin"},
        ],
        "validation": {
            "hostname": "api.example",
            "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}],
            "subjectAltNames": [
                {"type": "Hostname", "hostname": "*.api.example"},
                {"type": "URI", "uri": "spiffe://example/api"},
            ],
        },
    },
)
HTTP_ROUTE = _object(
    "HTTPRoute",
    {
        "parentRefs": [{"name": "shop.example", "sectionName": "http"}],
        "hostnames": ["www.example.org"],
        "rules": [
            {
                "name": "one",
                "matches": [
                    {
                        "path": {"type": "PathPrefix", "value": "/api"},
                        "headers": [
                            {"name": "x-user", "value": "[a-z]+", "type": "RegularExpression"}
                        ],
                        "queryParams": [{"name": "debug", "value": "1"}],
                        "method": "GET",
                    }
                ],
                "filters": [
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {
                            "set": [{"name": "a", "value": "b"}],
                            "add": [{"name": "a", "value": "b c"}],
                            "remove": ["x"],
                        },
                    },
                    {"type": "URLRewrite", "urlRewrite": {"hostname": "b.example", "path": _PATH}},
                    {
                        "type": "RequestMirror",
                        "requestMirror": {
                            "backendRef": {"name": "audit", "port": 80},
                            "fraction": {"numerator": 1, "denominator": 1000},
                        },
                    },
                    {
                        "type": "CORS",
                        "cors": {"allowOrigins": ["https://*.example.org"], "allowMethods": ["*"]},
                    },
                    {"type": "ExternalAuth", "externalAuth": _AUTH},
                ],
                "backendRefs": [{"name": "api", "port": 80, "weight": 9}],
                "timeouts": {"request": "10s", "backendRequest": "2500ms"},
                "retry": {"codes": [502, 503], "attempts": 3, "backoff": "100ms"},
                "sessionPersistence": {
                    "cookie": {"lifetimeType": "Permanent"},
                    "absoluteTimeout": "1h",
                },
            },
            {
                "name": "two",
                "filters": [
                    {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "port": 443}}
                ],
            },
        ],
    },
)
GRPC_ROUTE = _object(
    "GRPCRoute",
    {
        "parentRefs": [{"name": "api", "group": "", "kind": "Service", "port": 80}],
        "rules": [
            {
                "matches": [
                    {"method": {"service": "shop.Cart", "method": "Get"}},
                    {"headers": [{"name": "x", "value": "é"}]},
                ],
                "backendRefs": [{"name": "api", "port": 80}],
            }
        ],
    },
)
_TO_DB = [{"backendRefs": [{"name": "db", "port": 5432}]}]
TLS_ROUTE = _object("TLSRoute", {"hostnames": ["db.example"], "rules": _TO_DB})
TCP_ROUTE = _object("TCPRoute", {"parentRefs": [{"name": "a", "port": 5432}], "rules": _TO_DB})
UDP_ROUTE = _object("UDPRoute", {"rules": _TO_DB})
SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "tls", "namespace": "shop"},
    "type": "kubernetes.io/tls",
    "data": {"tls.crt": "YQ==", "tls.key": "Yg=="},
}
CONFIG_MAP: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "ca", "namespace": "shop"},
    "data": {"ca.crt": "text"},
    "binaryData": {"more": "YQ=="},
}
INGRESS: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "shop.example", "namespace": "shop"},
    "spec": {
        "ingressClassName": "tulle",
        "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
        "tls": [{"hosts": ["a.example"], "secretName": "tls"}],
        "rules": [
            {
                "host": "*.example.org",
                "http": {
                    "paths": [
                        {
                            "path": "/api",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "api", "port": {"name": "http"}}},
                        }
                    ]
                },
            }
        ],
    },
}
INGRESS_CLASS: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "tulle"},
    "spec": {"controller": "tulle.io/ingress-controller"},
}
VALID_GATEWAYS = (
    CLASS,
    GATEWAY,
    LISTENER_SET,
    GRANT,
    BACKEND_TLS,
    HTTP_ROUTE,
    GRPC_ROUTE,
    TLS_ROUTE,
    TCP_ROUTE,
    UDP_ROUTE,
    SECRET,
    CONFIG_MAP,
    INGRESS,
    INGRESS_CLASS,
)
