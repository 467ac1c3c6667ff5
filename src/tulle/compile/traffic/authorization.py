"""An AuthPolicy's external service → whom the proxy asks."""

from __future__ import annotations

from functools import cached_property

from tulle.model.kinds import ref_of
from tulle.model.references import duration_ms
from tulle.model.routing import ExternalAuthorization
from tulle.model.traffic import TULLE_GROUP, AuthPolicy
from tulle.model.world import World

from ..routes.backend_tls import BackendPolicies
from ..routes.backends import Backends
from ..routes.contents import Contents
from ..routes.facts import Asking, Facts
from ..routes.grants import Grants, Referrer


class Authorizations:
    def __init__(self, world: World) -> None:
        self._world = world

    def of(self, policy: AuthPolicy) -> ExternalAuthorization | None:
        """One that cannot be reached is broken, and lets nobody through."""
        auth = policy.spec.external
        if auth is None:
            return None
        source = Referrer(policy.kind, policy.metadata.namespace, TULLE_GROUP)
        backends = Backends(Asking(self._facts), source, auth.protocol)
        http = auth.http
        headers = http.allowed_headers if http else auth.grpc.allowed_headers if auth.grpc else ()
        return ExternalAuthorization(
            origin=ref_of(policy),
            destination=backends.destination(auth.backend_ref),
            protocol=auth.protocol,
            path_prefix=http.path if http else "",
            headers=headers,
            response_headers=http.allowed_response_headers if http else (),
            body_bytes=auth.forward_body.max_size if auth.forward_body else 0,
            timeout_ms=duration_ms(policy.spec.timeout),
        )

    @cached_property
    def _facts(self) -> Facts:
        world = self._world
        return Facts(
            world,
            Grants(world.grants.values()),
            BackendPolicies(world.backend_tls, Contents(world)),
        )
