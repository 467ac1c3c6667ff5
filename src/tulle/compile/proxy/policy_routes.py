"""Rule sets → RouteConfigurations: a route for each rule, and an answer for what meets none.

Routes are judged on the request in the form in which the backend gets it; the first that matches is
taken. A request that no rule allows is answered here, so nothing of it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tulle import xds
from tulle.model.access import AUDITED, DENIED
from tulle.model.verdict import Rule

from ..rule_sets import Part, RuleSet
from ..rules import HeaderTest, HttpRule
from .fields import Fields, literal, milliseconds, regex, value

ORIGINAL = "policy"  # the cluster of whom a connection was for
_TABLE = "envoy.config.route.v3.RouteConfiguration"
_SHOWN = 3  # rules that an answer names

# In a path that stands normalised: percent-encoding that is none, or is encoded once more; control
# characters; UTF-8 that is none or is longer than it need be; and dot segments in disguise.
AMBIGUOUS = (
    "|".join(
        f".*{part}.*"
        for part in (
            "%([^0-9A-Fa-f]|[0-9A-Fa-f][^0-9A-Fa-f])",
            "%25[0-9A-Fa-f][0-9A-Fa-f]",
            "%([01][0-9A-Fa-f]|7[Ff])",
            "%([Cc][01]|[Ff][5-9A-Fa-f]|[Ee]0%[89][0-9A-Fa-f]|[Ff]0%8[0-9A-Fa-f])",
            r"/\.\.?%3[Bb]",
        )
    )
    + "|.*%[0-9A-Fa-f]?"
)


def table_of(rules: RuleSet) -> bytes:
    routes = [
        *([] if rules.audit else _refusing()),
        *(route for part in rules.parts for item in part.layer7.http for route in _of(part, item)),
        *_last(rules),
    ]
    host = {"name": "policy", "domains": ["*"], "routes": routes}
    return xds.pack(_TABLE, name=name_of(rules), virtual_hosts=[host])


def name_of(rules: RuleSet) -> str:
    """Of the listener and of its routes."""
    return f"policy/{rules.number}"


def rule_id(rule: Rule, place: str) -> str:
    """As `routing.Rule.id` is for routes."""
    assert rule.policy is not None
    within = "" if rule.spec is None else f"specs[{rule.spec}]."
    of = f"{rule.policy.kind}/{rule.policy.namespace}/{rule.policy.name}"
    return f"{of}/{within}{rule.direction}[{rule.index}].{place}"


def _refusing() -> Iterator[Fields]:
    """What a backend could take for something else than what is judged."""
    many = _header(":authority", {"safe_regex": regex(".*,.*")})
    for what, match in (
        ("path", {"safe_regex": regex(AMBIGUOUS)}),
        ("host", {"prefix": "", "headers": [many]}),
    ):
        body = f"the {what} can be read in more than one way\n"
        yield {"name": f"{DENIED}ambiguous {what}", "match": match} | _answer(400, body)


def _of(part: Part, rule: HttpRule) -> Iterator[Fields]:
    """One route for each way in which headers may mismatch, those that match more first."""
    always = [test for test in rule.headers if test.mismatch in ("", "REPLACE")]
    optional = [test for test in rule.headers if test.mismatch not in ("", "REPLACE")]
    for count in range(len(optional), -1, -1):
        for matching in combinations(optional, count):
            mismatching = [test for test in optional if test not in matching]
            yield _route(part, rule, [*always, *matching], mismatching)


def _route(
    part: Part, rule: HttpRule, matching: list[HeaderTest], mismatching: list[HeaderTest]
) -> Fields:
    asked = [(":method", rule.method), (":path", rule.path), (":authority", rule.host)]
    headers = [_header(name, {"safe_regex": regex(text)}) for name, text in asked if text]
    headers += [
        matcher for test in matching if test.mismatch != "REPLACE" for matcher in _matchers(test)
    ]
    told = "".join(f" ({test.name} mismatches)" for test in mismatching)
    return {
        "name": f"{rule_id(part.rule, rule.place)}{told}",
        "match": {"prefix": "", "headers": headers},
        "route": _ONWARDS,
        "request_headers_to_add": [
            *(_added(test, "APPEND_IF_EXISTS_OR_ADD") for test in mismatching if _adds(test)),
            *(
                _added(test, "OVERWRITE_IF_EXISTS_OR_ADD")
                for test in matching
                if test.mismatch == "REPLACE"
            ),
        ],
        "request_headers_to_remove": [
            test.name for test in mismatching if test.mismatch == "DELETE"
        ],
    }


def _adds(test: HeaderTest) -> bool:
    return test.mismatch == "ADD"


def _added(test: HeaderTest, how: str) -> Fields:
    header = {"key": test.name, "value": literal(test.value or "")}
    return {"header": header, "append_action": how}


def _matchers(test: HeaderTest) -> Iterator[Fields]:
    """Of several headers of one name Envoy wants one that matches; all of them must."""
    if test.value is None:
        yield {"name": test.name, "present_match": True}
        return
    yield _header(test.name, {"exact": test.value})
    others = _header(test.name, {"safe_regex": regex(other_than(test.value))})
    yield others | {"invert_match": True}


def other_than(text: str) -> str:
    """A regular expression for everything else, as long as `text` times a dozen.

    >>> other_than("ab")
    '(?s)(?:[^a].*|a(?:[^b].*|b.+)?)?'
    """
    pattern = ".+"
    for byte in reversed(text.encode()):
        char = chr(byte) if byte < 128 and chr(byte).isalnum() else f"\\x{byte:02x}"
        pattern = f"(?:[^{char}].*|{char}{pattern})?"
    return f"(?s){pattern}"


def _header(name: str, match: Fields) -> Fields:
    return {"name": name, "string_match": match}


def _last(rules: RuleSet) -> Iterator[Fields]:
    """Of what meets no rule; CONNECT has no path that one could meet."""
    names = names_of(rules)
    if rules.audit:
        yield {"name": f"{AUDITED}{names}", "match": {"prefix": ""}, "route": _ONWARDS}
        return
    body = f"denied by policy: not allowed by {names} (rule set {rules.number})\n"
    matches: tuple[Fields, ...] = ({"prefix": ""}, {"connect_matcher": {}})
    for match in matches:
        yield {"name": f"{DENIED}{names}", "match": match} | _answer(403, body)


def names_of(rules: RuleSet) -> str:
    """Of all its rules, or of the first few."""
    names = list(dict.fromkeys(f"{part.rule}.{part.layer7.place}" for part in rules.parts))
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])


def _answer(status: int, body: str) -> Fields:
    return {"direct_response": {"status": status, "body": {"inline_string": body}}}


# Without a limit of time: that is the client's and the backend's business. What was sent into a
# connection that the backend was about to close is sent again, if the backend has not seen it.
_ONWARDS: Fields = {
    "cluster": ORIGINAL,
    "timeout": milliseconds(0),
    "retry_policy": {"retry_on": "reset-before-request", "num_retries": value(2)},
}
