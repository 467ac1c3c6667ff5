from typing import Any

import pytest

from tests.hostile.gateways import HTTP_ROUTE
from tests.unit.edges.manifests.test_gateway import said

_BACKEND = {"name": "a", "port": 80}
_MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": _BACKEND}}
_REDIRECT = {"type": "RequestRedirect", "requestRedirect": {}}
_AUTH = {
    "type": "ExternalAuth",
    "externalAuth": {"protocol": "HTTP", "backendRef": _BACKEND, "http": {}},
}
_REWRITE = {"type": "URLRewrite", "urlRewrite": {}}


def removing(*names: str) -> dict[str, Any]:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": list(names)}}


def rewriting(kind: str, text: str) -> dict[str, Any]:
    change = {"type": kind, kind[0].lower() + kind[1:]: text}
    return {"type": "URLRewrite", "urlRewrite": {"path": change}}


def cors(**part: Any) -> dict[str, Any]:
    return {"type": "CORS", "cors": part}


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ([_MIRROR, _MIRROR], ""),
        ([_REDIRECT, _REDIRECT], "filters[1].type: RequestRedirect is filters[0] already"),
        ([_AUTH, _AUTH], "filters[1].type: ExternalAuth is filters[0] already"),
        ([_REWRITE, _REDIRECT], "filters[1].type: RequestRedirect and URLRewrite exclude"),
        ([{"type": "URLRewrite"}], "filters[0].urlRewrite: is required for type URLRewrite"),
        ([removing("x-a", "A!#$%&'*+-.^_`|~9")], ""),
        ([removing(":path")], 'remove[0]: ":path" does not match'),
        ([removing("x", "")], "remove[1]: needs at least 1 character(s)"),
        ([removing("a\n")], "does not match"),
        ([rewriting("ReplaceFullPath", "/a?b=%20#c")], ""),
        ([rewriting("ReplacePrefixMatch", "")], ""),
        ([rewriting("ReplaceFullPath", "/a\nb")], 'replaceFullPath: "/a\\nb" must be visible'),
        ([rewriting("ReplacePrefixMatch", "/é")], "replacePrefixMatch: "),
        ([{**_MIRROR, "cors": {}}], "filters[0].cors: needs type CORS"),
        ([cors(allowOrigins=["*", "http://a"])], "allowOrigins: * must stand alone"),
        ([cors(allowHeaders=["a", "a"])], "allowHeaders: must not name one twice"),
        ([cors(allowOrigins=["http://a:8080", "https://*.b.example"])], ""),
        ([cors(exposeHeaders=["*", "a"])], ""),
        ([{"type": "ExtensionRef", "extensionRef": {"group": "a", "kind": "B", "name": "c"}}], ""),
    ],
)
def test_filters(filters: list[dict[str, Any]], reason: str) -> None:
    found = said(HTTP_ROUTE, rules=[{"filters": filters}])
    assert reason in found if reason else not found


def test_of_a_mirror_one_share_is_given() -> None:
    both = {"backendRef": _BACKEND, "percent": 1, "fraction": {"numerator": 1}}
    mirror = {"type": "RequestMirror", "requestMirror": both}
    assert "percent and fraction exclude" in said(HTTP_ROUTE, rules=[{"filters": [mirror]}])


def test_a_redirect_leaves_nothing_to_backends() -> None:
    rule = {"filters": [_REDIRECT], "backendRefs": [_BACKEND]}
    assert "filters[0].type: RequestRedirect leaves nothing" in said(HTTP_ROUTE, rules=[rule])


def test_a_service_needs_a_port_and_others_do_not() -> None:
    assert "backendRefs[0].port: is required" in said(
        HTTP_ROUTE, rules=[{"backendRefs": [{"name": "a"}]}]
    )
    other = {"name": "a", "group": "a.example", "kind": "Bucket"}
    assert not said(HTTP_ROUTE, rules=[{"backendRefs": [other]}])
