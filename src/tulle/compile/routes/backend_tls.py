"""BackendTLSPolicy: which Services are spoken to over TLS, and how.

Of several policies for one port of a Service the oldest is in force; one for a port by its name
comes before one for the whole Service. A policy that is no good makes its backend unreachable: what
was to be encrypted is never sent in the clear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tulle.model.gateway import BackendTLSPolicy, PolicyTarget
from tulle.model.kinds import ref_of
from tulle.model.routing import UpstreamTls
from tulle.model.world import Key

from .conditions import ACCEPTED, RESOLVED, Verdict, age
from .contents import Contents, Problem
from .grants import Grants, Referrer, Target

Place = tuple[Key, str]  # a Service, and a port's name or "" for all


class BackendPolicies:
    """All policies: what is in force where, and what is to be said of each."""

    def __init__(
        self,
        policies: Mapping[Key, BackendTLSPolicy],
        contents: Contents,
        before: BackendPolicies | None = None,
    ) -> None:
        self._made: dict[Key, tuple[BackendTLSPolicy, UpstreamTls | str, Verdict, Verdict]] = {}
        self._in_force: dict[Place, Key] = {}
        self.services: dict[Key, frozenset[Key]] = {}  # that a policy targets
        for policy in sorted(policies.values(), key=lambda policy: age(policy.metadata)):
            key = (policy.metadata.namespace, policy.metadata.name)
            upstream, accepted, resolved = _examined(policy, contents)
            old = before._made.get(key) if before else None
            if old is not None and old[1] == upstream:
                upstream = old[1]
            conflicts = [place for place in _places(policy) if not self._claim(place, key)]
            if conflicts:
                other = self._in_force[conflicts[0]]
                message = f"BackendTLSPolicy {'/'.join(other)} is older and targets the same"
                accepted = Verdict(False, "Conflicted", message)
            self._made[key] = (policy, upstream, accepted, resolved)
            self.services[key] = frozenset(service for service, _ in _places(policy))

    def _claim(self, place: Place, key: Key) -> bool:
        return self._in_force.setdefault(place, key) == key

    def upstream_tls(self, service: Key, port: str) -> UpstreamTls | str | None:
        for place in ((service, port), (service, "")):
            if (key := self._in_force.get(place)) is not None:
                return self._made[key][1]
        return None

    def verdicts(self) -> Iterator[tuple[BackendTLSPolicy, Verdict, Verdict]]:
        """Each policy with what its conditions Accepted and ResolvedRefs say."""
        for policy, _, accepted, resolved in self._made.values():
            yield policy, accepted, resolved


def _places(policy: BackendTLSPolicy) -> Iterator[Place]:
    namespace = policy.metadata.namespace
    for target in policy.spec.target_refs:
        if _is_service(target):
            yield (namespace, target.name), target.section_name


def _is_service(target: PolicyTarget) -> bool:
    return (target.group, target.kind) == ("", "Service")


def _examined(
    policy: BackendTLSPolicy, contents: Contents
) -> tuple[UpstreamTls | str, Verdict, Verdict]:
    ref = ref_of(policy)
    validation = policy.spec.validation
    found, problems = _authorities(policy, contents)
    resolved, accepted = RESOLVED, ACCEPTED
    if problems:
        reason = "InvalidKind" if problems[0].kind == "InvalidKind" else "InvalidCACertificateRef"
        resolved = Verdict(False, reason, "; ".join(problem.message for problem in problems))
        if not found:
            accepted = Verdict(False, "NoValidCACertificate", resolved.message)
    elif validation.well_known_ca_certificates not in ("", "System"):
        name = validation.well_known_ca_certificates
        accepted = Verdict(False, "Invalid", f"wellKnownCACertificates: {name} is not known")
    elif policy.spec.options:
        known = ", ".join(sorted(policy.spec.options))
        accepted = Verdict(False, "Invalid", f"options: {known}: no option is known")
    elif not all(_is_service(target) for target in policy.spec.target_refs):
        accepted = Verdict(False, "Invalid", "targetRefs: only Services can be targets")
    if not accepted.holds:
        return f"{ref}: {accepted.message}", accepted, resolved
    return _upstream(policy, "\n".join(found)), accepted, resolved


def _authorities(policy: BackendTLSPolicy, contents: Contents) -> tuple[list[str], list[Problem]]:
    namespace = policy.metadata.namespace
    source, nobody = Referrer("BackendTLSPolicy", namespace), Grants(())
    found: list[str] = []
    problems: list[Problem] = []
    for item in policy.spec.validation.ca_certificate_refs:
        target = Target(item.group, item.kind, namespace, item.name)
        answer = contents.authorities(source, target, nobody)
        if isinstance(answer, Problem):
            problems.append(answer)
        else:
            found.append(answer)
    return found, problems


def _upstream(policy: BackendTLSPolicy, authorities: str) -> UpstreamTls:
    validation = policy.spec.validation
    alternatives = validation.subject_alt_names
    names = tuple(item.hostname for item in alternatives if item.type == "Hostname")
    return UpstreamTls(
        sni=validation.hostname,
        authorities=authorities,
        system_authorities=bool(validation.well_known_ca_certificates),
        names=names if alternatives else (validation.hostname,),
        uris=tuple(item.uri for item in alternatives if item.type == "URI"),
    )
