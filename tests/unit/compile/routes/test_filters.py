from typing import Any

import pytest

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    TO_WEB,
    condition,
    hosts,
    http_route,
    of_route,
    routed,
)
from tulle.model.routing import (
    Cors,
    Destination,
    Filters,
    HeaderEdit,
    Mirror,
    PathChange,
    Redirect,
    Rewrite,
)

_API = {"name": "api", "port": 80}


def mirror(**part: Any) -> dict[str, Any]:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": _API, **part}}


def rule_of(*filters: dict[str, Any], **rule: Any) -> Any:
    found = routed(GATEWAY, http_route(rules=[{"filters": list(filters), **rule}]))
    ((_, made),) = hosts(found)["*"].entries
    return made


def path(**change: str) -> dict[str, str]:
    ((field, _),) = change.items()
    return {"type": field[0].upper() + field[1:], **change}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {
                "type": "RequestHeaderModifier",
                "requestHeaderModifier": {
                    "set": [{"name": "A", "value": "1"}, {"name": "a", "value": "2"}],
                    "add": [{"name": "b", "value": "3"}],
                    "remove": ["c"],
                },
            },
            Filters(request=HeaderEdit((("A", "1"),), (("b", "3"),), ("c",))),
        ),
        (
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x"]}},
            Filters(response=HeaderEdit(remove=("x",))),
        ),
        (
            {"type": "RequestRedirect", "requestRedirect": {}},
            Filters(redirect=Redirect()),
        ),
        (
            {
                "type": "RequestRedirect",
                "requestRedirect": {
                    "scheme": "https",
                    "hostname": "b.example",
                    "port": 8443,
                    "statusCode": 308,
                    "path": path(replaceFullPath="/new"),
                },
            },
            Filters(
                redirect=Redirect("https", "b.example", PathChange("/new", prefix=False), 8443, 308)
            ),
        ),
        (
            {"type": "URLRewrite", "urlRewrite": {"path": path(replacePrefixMatch="")}},
            Filters(rewrite=Rewrite(path=PathChange("", prefix=True))),
        ),
        (
            {
                "type": "CORS",
                "cors": {"allowOrigins": ["*"], "allowMethods": ["GET"], "allowCredentials": True},
            },
            Filters(cors=Cors(("*",), ("GET",), allow_credentials=True)),
        ),
        (mirror(), Filters(mirrors=(Mirror(Destination(("shop", "api"), 80), 100, 100),))),
        (mirror(percent=0), Filters(mirrors=(Mirror(Destination(("shop", "api"), 80), 0, 100),))),
        (
            mirror(fraction={"numerator": 1, "denominator": 1000}),
            Filters(mirrors=(Mirror(Destination(("shop", "api"), 80), 1, 1000),)),
        ),
    ],
)
def test_filters(given: dict[str, Any], expected: Filters) -> None:
    assert rule_of(given).filters == expected


def test_several_mirrors() -> None:
    assert len(rule_of(mirror(), mirror()).filters.mirrors) == 2


def test_a_mirror_that_leads_nowhere_is_dropped_and_told() -> None:
    lost = mirror(backendRef={"name": "none", "port": 80})
    found = routed(GATEWAY, http_route(rules=[{"filters": [lost], **TO_WEB[0]}]))
    ((_, rule),) = hosts(found)["*"].entries
    assert rule.filters.mirrors == ()
    assert not rule.destinations[0].broken
    assert condition(of_route(found), "ResolvedRefs") == ("False", "BackendNotFound")


def test_filters_of_one_backend() -> None:
    edit = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
    rule = rule_of(backendRefs=[{**_API, "filters": [edit]}, {"name": "web", "port": 80}])
    assert rule.destinations[0].filters == Filters(request=HeaderEdit(remove=("x",)))
    assert rule.destinations[1].filters is None


def test_an_authorization_that_cannot_be_asked_stays() -> None:
    auth = {
        "type": "ExternalAuth",
        "externalAuth": {
            "protocol": "HTTP",
            "backendRef": {"name": "none", "port": 80},
            "http": {"path": "/check", "allowedHeaders": ["x"], "allowedResponseHeaders": ["y"]},
            "forwardBody": {"maxSize": 10},
        },
    }
    found = routed(GATEWAY, http_route(rules=[{"filters": [auth], **TO_WEB[0]}]))
    ((_, rule),) = hosts(found)["*"].entries
    asked = rule.filters.authorization
    assert asked is not None
    assert asked.destination.broken
    assert (asked.path_prefix, asked.headers, asked.response_headers) == ("/check", ("x",), ("y",))
    assert asked.body_bytes == 10
    assert condition(of_route(found), "ResolvedRefs") == ("False", "BackendNotFound")
