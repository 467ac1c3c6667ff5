"""Secrets and ConfigMaps as certificates and authorities."""

from __future__ import annotations

from base64 import b64decode
from typing import NamedTuple

from tulle.errors import Refused
from tulle.model.contents import ConfigMap, Secret
from tulle.model.routing import Certificate
from tulle.model.world import Key, World

from .grants import Grants, Referrer, Target
from .pem import check_certificates, check_pair

AUTHORITIES_KEY = "ca.crt"


class Problem(NamedTuple):
    """Why a reference does not hold: `kind` is what the caller has a reason for."""

    kind: str  # RefNotPermitted, InvalidKind or Invalid
    message: str


class Contents:
    """What Secrets and ConfigMaps hold, each looked at once as long as it is the same object."""

    def __init__(self, world: World, before: Contents | None = None) -> None:
        self._secrets, self._config_maps = world.secrets, world.config_maps
        self._pairs: dict[Key, tuple[Secret, Certificate | str]] = {}
        self._authorities: dict[Key, tuple[ConfigMap, str | Problem]] = {}
        if before is not None:  # what has gone or changed is not kept
            secrets, maps = before._pairs.items(), before._authorities.items()
            self._pairs = {k: v for k, v in secrets if self._secrets.get(k) is v[0]}
            self._authorities = {k: v for k, v in maps if self._config_maps.get(k) is v[0]}

    def certificate(
        self, source: Referrer, target: Target, grants: Grants
    ) -> Certificate | Problem:
        if (target.group, target.kind) != ("", "Secret"):
            return Problem("InvalidKind", f"{target.kind} is no kind of certificate: Secret is")
        if not grants.permit(source, target):
            return Problem("RefNotPermitted", f"no ReferenceGrant permits {target}")
        key = (target.namespace, target.name)
        if (secret := self._secrets.get(key)) is None:
            return Problem("Invalid", f"there is no {target}")
        known = self._pairs.get(key)
        if known is None or known[0] is not secret:
            known = self._pairs[key] = (secret, _pair(secret))
        found = known[1]
        return Problem("Invalid", f"{target}: {found}") if isinstance(found, str) else found

    def authorities(self, source: Referrer, target: Target, grants: Grants) -> str | Problem:
        """PEM of the CA certificates that a ConfigMap holds."""
        if (target.group, target.kind) != ("", "ConfigMap"):
            message = f"{target.kind} is no kind of CA certificates: ConfigMap is"
            return Problem("InvalidKind", message)
        if not grants.permit(source, target):
            return Problem("RefNotPermitted", f"no ReferenceGrant permits {target}")
        key = (target.namespace, target.name)
        if (config_map := self._config_maps.get(key)) is None:
            return Problem("Invalid", f"there is no {target}")
        known = self._authorities.get(key)
        if known is None or known[0] is not config_map:
            known = self._authorities[key] = (config_map, _authorities(config_map, str(target)))
        return known[1]


def _pair(secret: Secret) -> Certificate | str:
    """Or what is wrong with it."""
    try:
        chain, key = (b64decode(secret.data[name]).decode() for name in ("tls.crt", "tls.key"))
        check_pair(chain, key)
    except KeyError as error:
        return f"has no {error.args[0]}"
    except UnicodeDecodeError:
        return "is not PEM"
    except Refused as error:
        return str(error)
    return Certificate(f"{secret.metadata.namespace}/{secret.metadata.name}", chain, key)


def _authorities(config_map: ConfigMap, name: str) -> str | Problem:
    text = config_map.data.get(AUTHORITIES_KEY)
    if text is None:
        return Problem("Invalid", f"{name} has no {AUTHORITIES_KEY}")
    try:
        check_certificates(text)
    except Refused as error:
        return Problem("Invalid", f"{name}: {AUTHORITIES_KEY} {error}")
    return text
