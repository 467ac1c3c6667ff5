"""What an installation consists of, judged by a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from tests.hostile.bending import bend
from tests.hostile.bent_traffic import BENT_TRAFFIC
from tests.hostile.traffic import VALID_TRAFFIC
from tests.kubernetes.control_plane import ControlPlane, control_plane
from tests.kubernetes.crds import definitions
from tests.kubernetes.hosted import are_looked_after, hosts
from tests.unit.install.test_crds import CRDS, NOT_BY_SCHEMA
from tulle import __version__
from tulle.agent.kube.operator import Operator, OperatorOptions
from tulle.edges import netns
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import Access
from tulle.install.crds import without_cel
from tulle.install.marks import Setting, several
from tulle.install.objects import everything
from tulle.install.values import chosen
from tulle.model.traffic import TULLE_GROUP
from tulle.model.world import Node

NAMESPACE = "tulle-system"


def objects(**given: Any) -> list[Any]:
    """For the version of the API server that tests have: it knows no CEL."""
    values = {"classes.create": False, **given}
    setting = Setting(chosen(values), NAMESPACE, "tulle", set())
    found = [obj for node in everything() for obj in several(node, setting)]
    return [may_be_empty(obj) for obj in without_cel(found)]


def may_be_empty(value: Any) -> Any:
    """Built with a Go that is newer than itself, this server takes the text "" for null."""
    if isinstance(value, list):
        return [may_be_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: may_be_empty(item) for key, item in value.items()}
    is_text = value.get("type") == "string" and "jsonPath" not in value
    is_bound = bool(value.keys() & {"enum", "minLength", "format"})
    if is_text and not is_bound and re.search(value.get("pattern", ""), ""):
        found["nullable"] = True
    return found


@pytest.fixture(scope="module")
def installed() -> Iterator[ControlPlane]:
    """An API server of its own, as definitions of Tulle's kinds elsewhere judge nothing."""
    with control_plane(f"install-{os.getpid()}") as made:
        made.kubectl.apply(*objects(), manager="tulle")
        names = [f"crd/{crd['metadata']['name']}" for crd in CRDS.values()]
        made.kubectl("wait", "--for=condition=Established", *names, "--timeout=30s")
        others = [item for item in definitions() if item["spec"]["group"] != TULLE_GROUP]
        made.kubectl.apply(*others, manager="tests")
        made.make_namespace("shop")
        yield made


def test_it_is_taken_as_it_is_and_again(installed: ControlPlane) -> None:
    """Nothing that was said is missing from what is kept."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()})
    kept = json.loads(installed.kubectl("get", "-o", "json", "-f", "-", stdin=text))["items"]
    both = zip(objects(), kept, strict=True)
    assert [found for pair in both for found in missing(*pair)] == []


def missing(said: Any, kept: Any, at: str = "") -> list[str]:
    if isinstance(said, dict):
        if not isinstance(kept, dict):
            return [at]
        places = ((key, item) for key, item in said.items() if key != "apiVersion")
        return [
            found
            for key, item in places
            if item not in (None, {}, [], False)
            for found in missing(item, kept.get(key), f"{at}.{key}")
        ]
    if isinstance(said, list):
        if not isinstance(kept, list) or len(said) != len(kept):
            return [at]
        pairs = enumerate(zip(said, kept, strict=True))
        return [found for n, pair in pairs for found in missing(*pair, f"{at}[{n}]")]
    return [] if said == kept or str(said) == str(kept) else [f"{at}: {said!r} → {kept!r}"]


@pytest.mark.parametrize(
    "given",
    [
        {"xdp": "generic", "secretNamespaces": ["shop"], "apiServer": "https://10.0.0.1:6443"},
        {"image.pullSecrets": [{"name": "registry"}], "masquerade": False},
        {"agent.resources": {"limits": {"memory": "1Gi"}}, "operator.replicas": 3},
    ],
)
def test_what_is_chosen_is_taken(installed: ControlPlane, given: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(**given)})
    words = ("--server-side", "--force-conflicts", "--field-manager=tulle", "--dry-run=server")
    said = installed.kubectl("apply", *words, "-f", "-", stdin=text)
    assert len(said.splitlines()) == len(objects(**given))


@pytest.mark.parametrize("obj", [item for item in VALID_TRAFFIC if item["kind"] in CRDS])
def test_valid_objects_of_our_kinds_are_kept_whole(
    installed: ControlPlane, obj: dict[str, Any]
) -> None:
    installed.kubectl.apply(obj)
    kept = installed.kubectl.get(CRDS[obj["kind"]]["metadata"]["name"], "web", "shop")
    assert kept is not None
    assert missing(obj, kept) == []


def test_bent_objects_of_our_kinds_are_refused(installed: ControlPlane) -> None:
    """But for what only CEL can say, or only who reads texts: the same that unit tests name."""
    bent = [(name, json.loads(text)) for name, text in bend(BENT_TRAFFIC)]
    taken = set()
    for number, (_, obj) in enumerate(bent):
        obj["metadata"] = {"name": f"bent-{number}", "namespace": "shop"}
    ours = [(name, obj) for name, obj in bent if name.partition(":")[0] in CRDS]
    ours = [(name, obj) for name, obj in ours if ":apiVersion#" not in name]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [obj for _, obj in ours]})
    said = installed.kubectl(
        "create", "--dry-run=server", "--validate=false", "-o", "name", "-f", "-",
        stdin=text, check=False,
    )  # fmt: skip
    for name, obj in ours:
        if f"/{obj['metadata']['name']}\n" in said:
            taken.add(name.partition(":")[2].partition("#")[0])
    assert taken == set(NOT_BY_SCHEMA)


MAY = {
    "tulle-agent": [
        "list pods",
        "watch nodes",
        "get pods shop",
        "watch services",
        "watch endpointslices.discovery.k8s.io",
        "watch networkpolicies.networking.k8s.io",
        "watch ciliumnetworkpolicies.cilium.io",
        "list httproutes.gateway.networking.k8s.io",
        "watch ratelimitpolicies.tulle.io",
        "watch secrets shop",
        "create events.events.k8s.io shop",
        "list customresourcedefinitions.apiextensions.k8s.io",
    ],
    "tulle-operator": [
        "list pods",
        "watch services",
        "patch services/status shop",
        "patch ingresses.networking.k8s.io/status shop",
        "patch gateways.gateway.networking.k8s.io/status shop",
        "get httproutes.gateway.networking.k8s.io shop",
        f"create leases.coordination.k8s.io {NAMESPACE}",
        f"update leases.coordination.k8s.io {NAMESPACE}/tulle",
        f"list leases.coordination.k8s.io {NAMESPACE}",
    ],
}
MAY_NOT = {
    "tulle-agent": [
        "create events shop",
        "get services shop",
        "create pods shop",
        "delete pods shop",
        "create pods/exec shop",
        "patch nodes",
        "patch nodes/status",
        "get secrets shop",
        "create secrets shop",
        "patch services shop",
        "patch services/status shop",
        "patch gateways.gateway.networking.k8s.io/status shop",
        f"create leases.coordination.k8s.io {NAMESPACE}",
        f"get leases.coordination.k8s.io {NAMESPACE}",
        "create serviceaccounts/token shop",
        "impersonate users",
        "escalate clusterroles.rbac.authorization.k8s.io",
        "update customresourcedefinitions.apiextensions.k8s.io",
        "create endpointslices.discovery.k8s.io shop",
        "delete networkpolicies.networking.k8s.io shop",
        "list deployments.apps",
        "get configmaps shop",
    ],
    "tulle-operator": [
        "update services shop",
        "patch services shop",
        "patch pods/status shop",
        "delete gateways.gateway.networking.k8s.io shop",
        "patch httproutes.gateway.networking.k8s.io shop",
        f"delete leases.coordination.k8s.io {NAMESPACE}/tulle",
        f"update leases.coordination.k8s.io {NAMESPACE}/other",
        "create leases.coordination.k8s.io kube-system",
        "list leases.coordination.k8s.io kube-system",
        "patch meshworkloads.tulle.io shop",
        "delete meshnodes.tulle.io",
        "get secrets shop",
        "create pods shop",
        "patch nodes",
        "bind clusterroles.rbac.authorization.k8s.io",
        "list customresourcedefinitions.apiextensions.k8s.io/status",
        "create validatingwebhookconfigurations.admissionregistration.k8s.io",
        "patch daemonsets.apps tulle-system",
    ],
}


@pytest.mark.parametrize("account", MAY)
def test_an_account_may_do_what_it_does_and_no_more(installed: ControlPlane, account: str) -> None:
    assert may_not(installed, account, MAY[account]) == []
    assert may_not(installed, account, MAY_NOT[account]) == MAY_NOT[account]


def may_not(plane: ControlPlane, account: str, wishes: list[str]) -> list[str]:
    """Those of `VERB RESOURCE[.GROUP][/SUBRESOURCE] [NAMESPACE[/NAME]]` that it may not."""
    reviews = [review(account, wish) for wish in wishes]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    said = plane.kubectl("create", "-o", "jsonpath={.status}{'\\n'}", "-f", "-", stdin=text)
    answers = [json.loads(line) for line in said.splitlines()]
    both = zip(wishes, answers, strict=True)
    return [wish for wish, answer in both if not answer["allowed"]]


def review(account: str, wish: str) -> dict[str, Any]:
    verb, what, where, *_ = [*wish.split(), ""]
    resource, _, sub = what.partition("/")
    plural, _, group = resource.partition(".")
    namespace, _, name = where.partition("/")
    attributes = {
        "verb": verb,
        "resource": plural,
        "group": group,
        "subresource": sub,
        "namespace": namespace,
        "name": name,
    }
    spec = {
        "user": f"system:serviceaccount:{NAMESPACE}:{account}",
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "resourceAttributes": attributes,
    }
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


# --- the rights in use ---------------------------------------------------------------------------


def access(plane: ControlPlane, account: str) -> Access:
    """As a pod of the account."""
    token = plane.kubectl("create", "token", account, "-n", NAMESPACE).strip()
    ca = (plane.directory / "ca.crt").read_bytes()
    return Access(plane.server, ca=ca, token=token, namespace=NAMESPACE)


def operated(
    plane: ControlPlane, account: str, state: Path, done: Callable[[Operator], object]
) -> Operator:
    """An operator of that account until `done` holds: it reads all that agents do."""

    async def run() -> Operator:
        make_socket = partial(netns.run_in, plane.netns)
        client = Client(
            access(plane, account), make_socket=lambda *words: make_socket(partial(socket, *words))
        )
        options = OperatorOptions(NAMESPACE, account, Node().service_cidrs, state)
        operator = Operator(client, options)
        running = asyncio.create_task(operator.run())
        try:
            async with asyncio.timeout(40):
                while not done(operator):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await client.close()
        return operator

    return asyncio.run(run())


GATEWAY: tuple[dict[str, Any], ...] = (
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "tulle"},
        "spec": {"controllerName": "tulle.io/gateway-controller"},
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "door", "namespace": "shop"},
        "spec": {
            "gatewayClassName": "tulle",
            "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}],
        },
    },
)


# of a kind that has no status
TWICE = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "twice", "namespace": "shop"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Ingress"]},
}


def test_the_operator_s_rights_are_enough(installed: ControlPlane, tmp_path: Path) -> None:
    installed.kubectl.apply(*GATEWAY)
    limit = next(item for item in VALID_TRAFFIC if item["kind"] == "RateLimitPolicy")
    installed.kubectl.apply(limit, TWICE, *hosts(NAMESPACE))
    looks = []

    def written(operator: Operator) -> bool:
        looks.append(operator.passes > 0 and are_looked_after(operator.source.scan()))
        told = installed.kubectl.list("events.v1.events.k8s.io", "-n", "shop")
        refused = [item["regarding"]["name"] for item in told if item["reason"] == "Refused"]
        limited = installed.kubectl.get("ratelimitpolicies.tulle.io", "web", "shop")
        door = installed.kubectl.get("gateway", "door", "shop")
        said = bool(limited and limited.get("status") and door and door.get("status"))
        return said and "twice" in refused and any(looks)

    operator = operated(installed, "tulle-operator", tmp_path / "state", written)
    status = operator.duties.status()
    assert (status["problems"], status["events"]["problem"]) == ([], "")
    assert operator.duties.problems == []
    assert operator.source.problems == []


def test_an_agent_s_rights_are_enough_to_read_and_to_write_nothing(
    installed: ControlPlane, tmp_path: Path
) -> None:
    operator = operated(installed, "tulle-agent", tmp_path / "state", lambda it: it.is_ready)
    kinds = operator.source.status()["kinds"]
    assert {shown["phase"] for shown in kinds.values()} <= {"synced", "absent"}
    assert kinds["Gateway"]["phase"] == kinds["RateLimitPolicy"]["phase"] == "synced"
    assert not operator.duties.status()["leader"]


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """A cluster without nodes: what every node is to have is there at once."""
    with control_plane(f"bare-{os.getpid()}") as made:
        made.start_controllers(
            "daemonset", "deployment", "replicaset", "garbagecollector", "namespace"
        )
        yield made


def test_the_command_installs_upgrades_goes_back_and_uninstalls(bare: ControlPlane) -> None:
    refused = bare.tulle("install", code=1)
    assert "apiServer: has to be said where no kube-proxy runs" in refused
    assert bare.kubectl.get("namespace", NAMESPACE) is None
    where = f"--set=apiServer={bare.server}"
    # its pods have no node: nobody can wait for the operator
    bare.tulle("install", where, "--no-wait")
    assert "is installed already" in bare.tulle("install", where, code=1)
    assert image(bare) == f"tulle:{__version__}"
    bare.tulle("upgrade", "--set=image.tag=next", "--no-wait")
    assert image(bare) == "tulle:next"
    shown = bare.tulle("status", "--kubernetes")
    assert "installed by tulle, revision 2: deployed" in shown
    assert "operator: 0 of 2" in shown
    assert "revision 2 was put back, but is not ready either" in bare.tulle(
        "upgrade", "--set=image.tag=bad", "--timeout=3", code=1
    )
    # What was put back is not known to be whole: once more, and only then what was before it.
    bare.tulle("upgrade", "--rollback", "--no-wait")
    assert image(bare) == "tulle:next"
    bare.tulle("upgrade", "--rollback", "--revision=1", "--no-wait")
    assert image(bare) == f"tulle:{__version__}"
    bare.tulle("uninstall", "--yes")
    left = bare.kubectl("get", "crd,clusterroles,clusterrolebindings,priorityclasses", "-o", "name")
    ours = [name for name in left.split() if "tulle" in name]
    assert {name.partition("/")[0] for name in ours} == {
        "customresourcedefinition.apiextensions.k8s.io"
    }
    bare.tulle("install", where, "--no-wait")
    bare.tulle("uninstall", "--yes", "--definitions")
    assert "tulle" not in bare.kubectl("get", "crd,clusterroles", "-o", "name")


def image(plane: ControlPlane) -> str:
    agents = plane.kubectl.get("daemonset", "tulle-agent", NAMESPACE)
    assert agents is not None
    containers: list[dict[str, Any]] = agents["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["image"])
