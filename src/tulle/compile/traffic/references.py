"""What policies refer to, and Services that they are about → destinations."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import Service, ServicePort
from tulle.model.references import BackendObjectReference, duration_ms
from tulle.model.routing import Destination, ExternalAuthorization
from tulle.model.routing_policies import RemoteKeys
from tulle.model.traffic import TULLE_GROUP, AuthPolicy, RemoteJwks
from tulle.model.world import World

from ..routes.backend_tls import BackendPolicies
from ..routes.backends import Backends, Speech
from ..routes.contents import Contents
from ..routes.facts import Asking, Facts
from ..routes.filters import authorization_of
from ..routes.grants import Grants, Referrer


class References:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def authorization(self, policy: AuthPolicy) -> ExternalAuthorization | None:
        """One that cannot be reached is broken, and lets nobody through."""
        auth = policy.spec.external
        if auth is None:
            return None
        source = Referrer(policy.kind, policy.metadata.namespace, TULLE_GROUP)
        backends = Backends(Asking(self._facts), source, auth.protocol)
        found = authorization_of(auth, ref_of(policy), backends)
        return replace(found, timeout_ms=duration_ms(policy.spec.timeout))

    def keys(self, policy: AuthPolicy, remote: RemoteJwks) -> RemoteKeys:
        """Where nobody can be asked no token is good."""
        source = Referrer(policy.kind, policy.metadata.namespace, TULLE_GROUP)
        destination = Backends(Asking(self._facts), source, "HTTP").destination(remote.backend_ref)
        return RemoteKeys(destination, remote.path, duration_ms(remote.cache_duration))

    def unresolved(self, policy: AuthPolicy) -> str | None:
        """What is wrong with its references; None: it has none."""
        asked = self.authorization(policy)
        providers = policy.spec.jwt.providers if policy.spec.jwt else ()
        remotes = (item.jwks.remote for item in providers if item.jwks.remote)
        found = [self.keys(policy, remote).destination.broken for remote in remotes]
        if asked is not None:
            found.append(asked.destination.broken)
        return "; ".join(filter(None, found)) if found else None

    def of_port(self, service: Service, port: ServicePort, speech: Speech) -> Destination:
        """The Service's own backends."""
        meta = service.metadata
        backends = Backends(Asking(self._facts), Referrer("Service", meta.namespace), speech)
        return backends.destination(BackendObjectReference(name=meta.name, port=port.port))

    @cached_property
    def _facts(self) -> Facts:
        world = self._world
        policies = BackendPolicies(world.backend_tls, Contents(world))
        return Facts(world, Grants(world.grants.values()), policies)
