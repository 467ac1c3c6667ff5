"""Rules of Cilium's for HTTP, a request, and the place of the rule that allows it.

"" is where none does, and "400" where the request is not judged at all.
"""

from __future__ import annotations

from tulle.compile.explain.requests import Request

NO = ""
FIRST, SECOND = "toPorts[0].rules.http[0]", "toPorts[0].rules.http[1]"
PUBLIC = "{method: GET, path: '/public(/.*)?'}"


def request(text: str) -> Request:
    """`METHOD PATH host=h name=value…`"""
    method, path, *rest = text.split(" ")
    pairs = [tuple(item.split("=", 1)) for item in rest]
    host = next((value for name, value in pairs if name == "host"), "web")
    headers = tuple((name, value) for name, value in pairs if name != "host")
    return Request(method, path, host, headers)  # type: ignore[arg-type]


def ruled(http: str) -> str:
    item = f"{{ports: [{{port: '80', protocol: TCP}}], rules: {{http: [{http}]}}}}"
    return f"{{endpointSelector: {{}}, ingress: [{{toPorts: [{item}]}}]}}"


ROWS = (
        # nothing is said: everything is allowed
        ("{}", "GET /", FIRST),
        ("{}", "BREW /pot?x=1", FIRST),
        # all parts must hold
        (PUBLIC, "GET /public", FIRST),
        (PUBLIC, "GET /public/a", FIRST),
        (PUBLIC, "POST /public", NO),
        (PUBLIC, "GET /private", NO),
        (PUBLIC, "HEAD /public", NO),
        # any one rule suffices, and the first is named
        (f"{PUBLIC}, {{method: POST}}", "POST /private", SECOND),
        (f"{PUBLIC}, {{method: GET}}", "GET /public", FIRST),
        (f"{PUBLIC}, {{method: POST}}", "PUT /private", NO),
        # regular expressions are of the whole text
        ("{path: /a}", "GET /a", FIRST),
        ("{path: /a}", "GET /ab", NO),
        ("{path: /a}", "GET /b/a", NO),
        ("{path: a}", "GET /a", NO),
        ("{path: /a|/b}", "GET /b", FIRST),
        ("{path: '^/a$'}", "GET /a", FIRST),
        ("{path: '(?i)/A'}", "GET /a", FIRST),
        ("{path: '/[0-9]{3}'}", "GET /123", FIRST),
        ("{path: '/[0-9]{3}'}", "GET /1234", NO),
        ("{path: '/a.b'}", "GET /axb", FIRST),
        # the query is a part of the path
        ("{path: /a}", "GET /a?x=1", NO),
        ("{path: '/a(\\?.*)?'}", "GET /a?x=1", FIRST),
        ("{path: '/a\\?x=[0-9]+'}", "GET /a?x=12", FIRST),
        ("{path: '/a\\?x=[0-9]+'}", "GET /a?x=y", NO),
        # methods
        ("{method: GET|HEAD}", "HEAD /", FIRST),
        ("{method: GET|HEAD}", "GETHEAD /", NO),
        ("{method: 'P.*'}", "PATCH /", FIRST),
        ("{method: get}", "GET /", NO),
        # hosts
        ("{host: 'a\\.test'}", "GET / host=a.test", FIRST),
        ("{host: 'a\\.test'}", "GET / host=axtest", NO),
        ("{host: a.test}", "GET / host=axtest", FIRST),
        ("{host: 'a\\.test'}", "GET / host=a.test:80", NO),
        ("{host: 'a\\.test(:[0-9]+)?'}", "GET / host=a.test:80", FIRST),
        ("{host: 'a\\.test'}", "GET / host=a.test,b.test", "400"),
        # headers
        ("{headers: [X-Key]}", "GET / x-key=1", FIRST),
        ("{headers: [X-Key]}", "GET / x-other=1", NO),
        ("{headers: ['X-Key: 1']}", "GET / X-KEY=1", FIRST),
        ("{headers: ['X-Key: 1']}", "GET / x-key=2", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=1 x-key=2", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=2 x-key=1", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=1 x-key=1", FIRST),
        ("{headers: ['X-Key: 1']}", "GET / x-key=1,2", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=11", NO),
        ("{headers: ['X-Key: a.b']}", "GET / x-key=a.b", FIRST),
        ("{headers: ['X-Key: a.b']}", "GET / x-key=axb", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=.", NO),
        ("{headers: ['X-Key 1', X-Any]}", "GET / x-key=1 x-any=z", FIRST),
        ("{headers: ['X-Key 1', X-Any]}", "GET / x-key=1", NO),
        ("{headerMatches: [{name: X-A, value: '1'}]}", "GET / x-a=1", FIRST),
        ("{headerMatches: [{name: X-A, value: '1'}]}", "GET / x-a=2", NO),
        ("{headerMatches: [{name: X-A, value: '1'}]}", "GET /", NO),
        ("{headerMatches: [{name: X-A}]}", "GET / x-a=2", FIRST),
        ("{headerMatches: [{name: X-A}]}", "GET /", NO),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: LOG}]}", "GET /", FIRST),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: ADD}]}", "GET / x-a=2", FIRST),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: DELETE}]}", "GET / x-a=2", FIRST),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: REPLACE}]}", "GET /", FIRST),
        ("{method: GET, headerMatches: [{name: X-A, value: '1', mismatch: ADD}]}", "PUT /", NO),
        # gRPC: a method is a path
        ("{method: POST, path: /shop.Cart/Get}", "POST /shop.Cart/Get", FIRST),
        ("{method: POST, path: /shop.Cart/Get}", "POST /shop.Cart/Put", NO),
        ("{method: POST, path: '/shop\\.Cart/.*'}", "POST /shop.Cart/Put", FIRST),
        ("{method: POST, path: '/shop\\.Cart/.*'}", "POST /shop.Admin/Put", NO),
        # a rule that cannot be honoured allows nothing, and the others hold
        ("{path: (}", "GET /", NO),
        ("{path: (}, {path: /a}", "GET /a", SECOND),
        ("{headers: ['Host: web']}", "GET /", NO),
        ("{headers: ['Transfer-Encoding: chunked']}", "GET / transfer-encoding=chunked", NO),
        ("{headerMatches: [{name: X-A, secret: {name: a}}]}", "GET / x-a=1", NO),
        # what is judged is what the backend gets
        (PUBLIC, "GET /public/../private", NO),
        (PUBLIC, "GET /private/../public", FIRST),
        (PUBLIC, "GET /public/%2e%2e/private", NO),
        (PUBLIC, "GET /public/./a", FIRST),
        (PUBLIC, "GET //public", FIRST),
        (PUBLIC, "GET /%70ublic", FIRST),
        (PUBLIC, "GET /public/..;/private", NO),
        (PUBLIC, "GET /public\\..\\private", NO),
        (PUBLIC, "GET /public/%2e%2e%2fprivate", "400"),
        (PUBLIC, "GET /public/%5c..", "400"),
        (PUBLIC, "GET /public/%252e%252e/private", "400"),
        (PUBLIC, "GET /public/%c0%ae%c0%ae/private", "400"),
        (PUBLIC, "GET /public/..%3b/private", "400"),
        (PUBLIC, "GET /public/%zz", "400"),
        (PUBLIC, "GET /public/%", "400"),
        (PUBLIC, "GET /public/%0d%0aX", "400"),
        (PUBLIC, "GET /public#a", "400"),
        (PUBLIC, "GET public", "400"),
        (PUBLIC, "GET *", "400"),
        (PUBLIC, "GET /publiç", "400"),
        (PUBLIC, "G(T /public", "400"),
        (PUBLIC, "GET /public/caf%c3%a9", FIRST),
)  # fmt: skip
