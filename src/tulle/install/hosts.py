"""What lets a host join a cluster's mesh: rights to its own objects, each by its name. Pure.

A host writes by server-side apply alone, as only there a right to create is one to a name. It reads
what agents read, but no Secrets.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tulle import __version__
from tulle.agent.kube.leases import lease_of
from tulle.edges.manifests.syntax import is_dns_label, is_dns_subdomain
from tulle.errors import UsageError
from tulle.model.traffic import TULLE_GROUP

from .metadata import MANAGED_BY, NAME, PART_OF, VERSION
from .rbac import READER

Json = dict[str, Any]

EVERY = "*"
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_WRITE = ("create", "patch", "delete")


def host_objects(
    host: str,
    namespace: str,
    workloads: Sequence[str],
    user: str,
    *,
    admission: bool = False,
) -> Iterator[Json]:
    """`namespace` is the mesh's; `workloads` are NAMESPACE/NAME, or NAMESPACE/* for any there.

    Without `user` a service account is made, and what it may be known by. With `admission` the API
    server looks into its MeshWorkloads, too. Raises UsageError.
    """
    if not is_dns_subdomain(host):
        raise UsageError(f"{host!r} cannot be a node's name")
    name = lease_of(host)
    subject = {"apiGroup": _RBAC, "kind": "User", "name": user}
    if not user:
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", **_named(name, namespace)}
    yield _binding("ClusterRoleBinding", f"{name}-reads", "ClusterRole", READER, subject)
    own = [_rule(TULLE_GROUP, "meshnodes", [host])]
    yield from _granted("ClusterRole", name, None, own, subject)
    lease = [_rule("coordination.k8s.io", "leases", [name])]
    yield from _granted("Role", name, namespace, lease, subject)
    for place, names in sorted(_by_namespace(workloads).items()):
        rules = [_rule(TULLE_GROUP, "meshworkloads", names)]
        yield from _granted("Role", f"{name}-workloads", place, rules, subject)
    if admission:
        yield from _judged(host, name, user or f"system:serviceaccount:{namespace}:{name}")


def _judged(host: str, name: str, user: str) -> Iterator[Json]:
    """A right is to an object's name; this is about what stands in it."""
    head = {"apiVersion": f"{_ADMISSION}/v1", **_named(name, None)}
    rule = {
        "apiGroups": [TULLE_GROUP],
        "apiVersions": [EVERY],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["meshworkloads"],
    }
    own = (
        f"(request.operation == 'DELETE' || object.spec.node == '{host}') && "
        f"(request.operation == 'CREATE' || oldObject.spec.node == '{host}')"
    )
    who = f"request.userInfo.username == {_quoted(user)}"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "is-that-host", "expression": who}],
        "validations": [{"expression": own, "message": f"host {host} tells of its own workloads"}],
    }
    yield {**head, "kind": "ValidatingAdmissionPolicy", "spec": spec}
    spec = {"policyName": name, "validationActions": ["Deny"]}
    yield {**head, "kind": "ValidatingAdmissionPolicyBinding", "spec": spec}


def _quoted(text: str) -> str:
    """As CEL has it: escapes of JSON are escapes there."""
    return json.dumps(text)


def _by_namespace(workloads: Iterable[str]) -> dict[str, list[str]]:
    """No names: any."""
    found: dict[str, set[str]] = defaultdict(set)
    for word in workloads:
        place, _, name = word.partition("/")
        if not is_dns_label(place) or not (name == EVERY or is_dns_label(name)):
            raise UsageError(f"{word!r} is neither NAMESPACE/NAME nor NAMESPACE/*")
        found[place].add(name)
    return {place: [] if EVERY in names else sorted(names) for place, names in found.items()}


def _rule(group: str, resource: str, names: Sequence[str]) -> Json:
    rule: Json = {"apiGroups": [group], "resources": [resource], "verbs": list(_WRITE)}
    return {**rule, "resourceNames": list(names)} if names else rule


def _granted(
    kind: str, name: str, namespace: str | None, rules: list[Json], subject: Json
) -> Iterator[Json]:
    head = {"apiVersion": f"{_RBAC}/v1", "kind": kind, **_named(name, namespace)}
    yield {**head, "rules": rules}
    yield _binding(f"{kind}Binding", name, kind, name, subject, namespace)


def _binding(
    kind: str, name: str, role_kind: str, role: str, subject: Json, namespace: str | None = None
) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        **_named(name, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": role},
        "subjects": [subject],
    }


def _named(name: str, namespace: str | None) -> Json:
    labels = {PART_OF: NAME, MANAGED_BY: "tulle-host", VERSION: __version__}
    where = {} if namespace is None else {"namespace": namespace}
    return {"metadata": {"name": name, **where, "labels": labels}}
