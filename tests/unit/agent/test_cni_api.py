"""Which calls come to what. With a kernel: tests/kubernetes/test_cni.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.agent.passes import pass_of
from tests.unit.agent.test_cni import body
from tests.unit.compile.objects import workload, world_of
from tulle.agent import cni_api
from tulle.agent.attachments import PodFacts, SandboxRecord, Wanted
from tulle.agent.cni_api import CniApi
from tulle.errors import KernelError, TulleError, Unavailable
from tulle.model.kubernetes import ContainerPort, ObjectRef
from tulle.model.world import Node, Refusal, Settings

POD = workload("web-7")
RECORD = SandboxRecord(
    network="mesh",
    container_id="8f2e_1.x-y",
    ifname="eth0",
    netns="/var/run/netns/cni-1",
    inode=1,
    namespace="shop",
    name="web-7",
    number=7,
    addresses=("10.0.0.7",),
    interface="tl01020304",
    created_s=0,
    ifindex=7,
    phase="up",
)
ADD = body(CNI_ARGS="K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-7;K8S_POD_UID=u")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni_api, "GATHER_S", 0.0)


class FakeAgent:
    """Its next pass gives `outcome`, or raises it."""

    def __init__(self, outcome: Any = None) -> None:
        self.current: Any = pass_of(world_of())
        self.outcome = outcome or pass_of(world_of(POD))
        self.facts: Any = None
        self.options = SimpleNamespace(settings=Settings())
        self.network = SimpleNamespace(refresh=lambda: None)
        self.problem = ""
        self.given: list[PodFacts] = []
        self.deleted: list[object] = []
        self.asked = 0
        self.workloads = SimpleNamespace(all=dict)
        self.sandboxes = SimpleNamespace(
            add=self._add, delete=self._delete, check=lambda _: RECORD, collect=self._collect
        )

    def _add(self, wanted: Sequence[Wanted]) -> list[SandboxRecord]:
        self.given += [one.facts for one in wanted]
        return [RECORD for _ in wanted]

    def _delete(self, wanted: Sequence[object]) -> list[bool]:
        self.deleted += wanted
        return [len(self.deleted) == 1]

    def _collect(self, network: str, valid: object) -> list[str]:
        return [] if valid else [f"{network}: all"]

    def request(self) -> None:
        self.asked += 1

    async def converge(self) -> Any:
        if isinstance(self.outcome, TulleError):
            raise self.outcome
        return self.outcome


def call(agent: Any, verb: str, text: bytes) -> tuple[int, Any]:
    async def read() -> bytes:
        return text

    request: Any = SimpleNamespace(match_info={"verb": verb}, read=read)

    async def ask() -> Any:
        answered = await CniApi(agent).handle(request)
        await asyncio.sleep(0.01)  # the pass that it asks for is asked for a little later
        return answered

    answer = asyncio.run(ask())
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body) if answer.body else None


def test_an_add_answers_when_the_pod_is_in_the_mesh() -> None:
    agent = FakeAgent()
    status, told = call(agent, "ADD", ADD)
    assert (status, told["ips"][0]["address"]) == (200, "10.0.0.7/32")
    assert agent.given == [PodFacts(uid="u")] and agent.deleted == []


def test_what_a_pod_is_comes_from_the_source_if_it_knows() -> None:
    async def find(key: object, uid: str) -> PodFacts:
        assert (key, uid) == (("shop", "web-7"), "u")
        return PodFacts({"app": "web"}, "robot")

    agent = FakeAgent()
    agent.facts = find
    assert call(agent, "ADD", ADD)[0] == 200
    assert agent.given == [PodFacts({"app": "web"}, "robot")]


def test_a_pod_that_the_source_does_not_know_is_not_made() -> None:
    async def find(key: object, uid: str) -> PodFacts:
        raise Unavailable("no pod shop/web-7")

    agent = FakeAgent()
    agent.facts = find
    assert call(agent, "ADD", ADD) == (
        400,
        {"cniVersion": "1.1.0", "code": 11, "msg": "no pod shop/web-7"},
    )
    assert agent.given == []


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(pass_of(world_of()), 101), (KernelError(28, "map 'policy'"), 102), (Unavailable("x"), 11)],
)
def test_a_pod_that_did_not_get_into_the_mesh_is_removed(outcome: Any, code: int) -> None:
    agent = FakeAgent(outcome)
    status, told = call(agent, "ADD", ADD)
    assert (status, told["code"]) == (400, code)
    assert agent.deleted == [RECORD.id]


def test_a_pod_without_the_ports_of_the_node_that_it_wants_is_removed() -> None:
    port = ContainerPort(80, "", "TCP", 8080)
    rival = replace(workload("rival-8", ports=(port,)), ifindex=1)
    node = Node(addresses=(ip_address("192.0.2.1"),))
    agent = FakeAgent(pass_of(world_of(rival, replace(POD, ports=(port,)), node=node)))
    told = call(agent, "ADD", ADD)[1]
    assert (told["code"], agent.deleted) == (101, [RECORD.id])
    assert "8080/TCP belongs to Pod shop/rival-8" in told["msg"]


def test_why_a_pod_is_not_in_the_mesh_is_told() -> None:
    now = pass_of(world_of())
    reason = "10.0.0.7 belongs to Pod shop/rival-8"
    now = replace(now, refusals=(Refusal(ObjectRef("Pod", *RECORD.key), reason),))
    assert call(FakeAgent(now), "ADD", ADD)[1]["msg"] == f"pod shop/web-7: {reason}"


def test_a_chain_has_the_place_that_the_agent_was_started_for() -> None:
    made = {
        "interfaces": [{"name": "eth0", "sandbox": "/x"}],
        "ips": [{"address": "10.0.0.7/24", "interface": 0}],
    }
    behind, first = body({"prevResult": made}), FakeAgent()
    refused = call(first, "ADD", behind)[1]
    assert (refused["code"], "gives addresses itself" in refused["msg"]) == (7, True)
    chained = FakeAgent()
    chained.options.settings = Settings(chained=True)
    refused = call(chained, "ADD", ADD)[1]
    assert (refused["code"], "prevResult: none is given" in refused["msg"]) == (7, True)
    assert first.given == chained.given == []
    told = body({"prevResult": made}, CNI_ARGS="K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-7")
    assert call(chained, "ADD", told) == (200, made)


def test_names_of_our_own_workloads_are_not_given_away() -> None:
    agent = FakeAgent()
    agent.workloads.all = lambda: {POD.key: POD}
    assert call(agent, "ADD", ADD)[1]["code"] == 101
    assert agent.given == []


def test_nothing_is_added_before_the_first_pass() -> None:
    agent = FakeAgent()
    agent.current, agent.problem = None, "the manifests are away"
    told = call(agent, "ADD", ADD)[1]
    assert (told["code"], told["msg"]) == (11, "the manifests are away")
    assert call(agent, "STATUS", body())[1]["code"] == 50


def test_labels_that_are_none_are_refused() -> None:
    labels = {"args": {"cni": {"labels": [{"key": "a b", "value": "x"}]}}}
    told = call(FakeAgent(), "ADD", body(labels))[1]
    assert told["code"] == 7 and told["msg"].startswith("args.cni.labels: ")


def test_a_delete_asks_for_a_pass_only_if_there_was_something() -> None:
    agent = FakeAgent()
    assert call(agent, "DEL", body()) == call(agent, "DEL", body()) == (200, None)
    assert len(agent.deleted) == 2 and agent.asked == 1


def test_garbage_is_collected_by_the_list_that_is_given() -> None:
    agent = FakeAgent()
    kept = {"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}]}
    assert call(agent, "GC", body(kept)) == (200, None) and agent.asked == 0
    assert call(agent, "GC", body({"cni.dev/valid-attachments": []})) == (200, None)
    assert agent.asked == 1


def test_a_check_compares_what_the_runtime_keeps_and_who_is_in_the_mesh() -> None:
    def check(agent: FakeAgent, *addresses: Any) -> Any:
        told = {"prevResult": {"ips": [{"address": item} for item in addresses]}}
        return call(agent, "CHECK", body(told))[1]

    assert check(FakeAgent(), "10.0.0.7/32") is None
    assert check(FakeAgent(), "10.0.0.7", "nonsense", None, 7) is None  # without a prefix
    for odd in ("10.0.0.8/32", "10.0.0.7/x", None):
        assert check(FakeAgent(), odd)["code"] == 104
    unfit: list[Any] = [{}, ["10.0.0.7/32"], [[]], None]
    for ips in unfit:
        assert call(FakeAgent(), "CHECK", body({"prevResult": {"ips": ips}}))[1]["code"] == 104
    assert check(FakeAgent(pass_of(world_of())), "10.0.0.7/32")["code"] == 104


def test_status_is_the_agents() -> None:
    agent = FakeAgent()
    assert call(agent, "STATUS", body()) == (200, None)
    agent.problem = "map 'policy': No space left on device"
    assert call(agent, "STATUS", body())[1]["msg"] == agent.problem


def test_an_error_of_ours_is_an_answer_too() -> None:
    agent = FakeAgent()
    agent.sandboxes.add = None
    assert call(agent, "ADD", ADD)[1]["code"] == 103
