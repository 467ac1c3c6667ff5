"""Requests of one session go to one backend (GEP-1619)."""

from __future__ import annotations

from tulle import xds
from tulle.model.routing import Rule, SessionPersistence

from ..parts import digest64
from .fields import Fields, extension, milliseconds

FILTER = "envoy.filters.http.stateful_session"
_STATE = "envoy.extensions.http.stateful_session"
_MS = 1000


def session_state(rule: Rule, session: SessionPersistence) -> Fields:
    """The session filter's configuration of a route: which host a request is bound to."""
    name = session.name or f"tulle-{digest64(rule.id.encode()):016x}"
    if session.kind == "Header":
        state = xds.any_of(f"{_STATE}.header.v3.HeaderBasedSessionState", name=name)
    else:
        state = xds.any_of(
            f"{_STATE}.cookie.v3.CookieBasedSessionState", cookie=_cookie(name, session)
        )
    kind = session.kind.lower()
    return xds.any_of(
        "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
        stateful_session={
            "session_state": extension(f"envoy.http.stateful_session.{kind}", state),
        },
    )


def _cookie(name: str, session: SessionPersistence) -> Fields:
    """Without a lifetime it goes with the browser's session."""
    return {"name": name, "ttl": milliseconds(session.lifetime_s * _MS), "path": session.path}
