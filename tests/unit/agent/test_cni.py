"""What a runtime may say, what it may not, and the words of every version."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.cni import VERSIONS, CniCall, CniError, code_of, failure, parse, result
from tulle.errors import KernelError, Refused, Unavailable

VARIABLES = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "8f2e_1.x-y",
    "CNI_NETNS": "/var/run/netns/cni-1",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=u-1",
}
CONFIG = {"cniVersion": "1.1.0", "name": "mesh", "type": "tulle"}


def body(stdin: Any = None, **variables: str | None) -> bytes:
    chosen = {
        name: value for name, value in {**VARIABLES, **variables}.items() if value is not None
    }
    text = stdin if isinstance(stdin, bytes) else json.dumps(CONFIG | (stdin or {})).encode()
    return b"\0".join(f"{name}={value}".encode() for name, value in chosen.items()) + b"\0\0" + text


def test_an_add_names_the_pod_and_where_it_is() -> None:
    call = parse("ADD", body())
    of = call.attachment
    assert (of.network, of.id, of.netns) == ("mesh", ("8f2e_1.x-y", "eth0"), "/var/run/netns/cni-1")
    assert (of.key, of.uid) == (("shop", "web-0"), "u-1")


def test_without_kubernetes_labels_are_those_of_the_configuration() -> None:
    labels = [{"key": "app", "value": "web"}, {"key": "canary"}]
    call = parse("ADD", body({"args": {"cni": {"labels": labels}}}, CNI_ARGS=None))
    assert call.labels == {"app": "web", "canary": ""}
    assert call.attachment.key == ("default", "8f2e-1-x-y")


def test_a_runtime_may_pass_on_what_a_pod_makes_no_use_of() -> None:
    nothing = {"portMappings": [], "bandwidth": {"ingressRate": 0}, "ips": None, "dns": {"a": 1}}
    assert parse("ADD", body({"runtimeConfig": nothing, "capabilities": {"bandwidth": True}}))


def test_a_delete_needs_neither_namespace_nor_pod() -> None:
    call = parse("DEL", body({"prevResult": {}, "runtimeConfig": {"x": 1}}, CNI_NETNS=""))
    assert call.attachment.id == ("8f2e_1.x-y", "eth0")


def test_garbage_collection_has_its_list_and_status_needs_nothing() -> None:
    valid = [{"containerID": "a", "ifname": "eth0"}]
    call = parse("GC", body({"cni.dev/valid-attachments": valid}, CNI_CONTAINERID=None))
    assert call.valid == {("a", "eth0")} and call.attachment.network == "mesh"
    assert parse("STATUS", body(CNI_CONTAINERID=None, CNI_IFNAME=None)).verb == "STATUS"


WRONG: list[tuple[str, bytes, int, str]] = [
    ("NOP", body(), 4, "CNI_COMMAND 'NOP'"),
    ("ADD", b"", 6, "not what the plugin sends"),
    ("ADD", b"CNI_ARGS=x\0\0", 6, "network configuration"),
    ("ADD", body(b"{"), 6, "network configuration"),
    ("ADD", body(b'{"cniVersion": "\xff"}'), 6, "network configuration"),
    ("ADD", body(b'{"args":' * 100_000), 6, "network configuration"),
    ("ADD", body(b"[]"), 7, "Expected `object`"),
    ("ADD", body(b"{}"), 7, "cniVersion"),
    ("ADD", body({"cniVersion": 1}), 7, "cniVersion: Expected `str`"),
    ("ADD", body({"cniVersion": "0.2.0"}), 1, "cniVersion '0.2.0': must be one of 0.3.1, 0.4.0"),
    ("ADD", body({"cniVersion": "9\x1b[31m"}), 1, r"cniVersion '9\x1b[31m'"),
    ("ADD", body({"name": ""}), 7, "name: must not be empty"),
    ("ADD", body({"ipam": {"type": "host-local"}}), 2, "ipam: Tulle has no such option"),
    ("ADD", body({"runtimeConfig": {"bandwidth": {"egressRate": 1}}}), 7, "bandwidth.egressRate"),
    ("ADD", body({"runtimeConfig": {"mac": "02:00:00:00:00:01"}}), 2, "runtimeConfig.mac"),
    ("ADD", body({"runtimeConfig": {"ips": ["10.0.0.1"]}}), 2, "runtimeConfig.ips"),
    ("ADD", body({"prevResult": {"ips": []}}), 7, "prevResult.interfaces: must be a list"),
    ("ADD", body({"args": {"cni": {"labels": [{"value": "x"}]}}}), 7, "labels"),
    ("ADD", body(CNI_CONTAINERID=None), 4, "CNI_CONTAINERID: must be set"),
    ("ADD", body(CNI_CONTAINERID="../../etc"), 4, "CNI_CONTAINERID: '../../etc' is not valid"),
    ("ADD", body(CNI_CONTAINERID="a" * 300), 4, "CNI_CONTAINERID"),
    ("DEL", body(CNI_CONTAINERID="a/b"), 4, "CNI_CONTAINERID"),
    ("ADD", body(CNI_IFNAME=None), 4, "CNI_IFNAME: must be set"),
    ("ADD", body(CNI_IFNAME="eth0/../x"), 4, "CNI_IFNAME"),
    ("ADD", body(CNI_IFNAME=".."), 4, "CNI_IFNAME: '..' is no name"),
    ("ADD", body(CNI_IFNAME="sixteen-letters-"), 4, "CNI_IFNAME"),
    ("ADD", body(CNI_NETNS=""), 4, "CNI_NETNS: must be the path"),
    ("CHECK", body({"prevResult": {}}, CNI_NETNS="run/x"), 4, "CNI_NETNS: must be the path"),
    ("ADD", body(CNI_ARGS="K8S_POD_NAME"), 4, "CNI_ARGS: 'K8S_POD_NAME' is not NAME=VALUE"),
    ("ADD", body(CNI_ARGS="K8S_POD_NAME=../x"), 4, "CNI_ARGS: K8S_POD_NAME '../x': must be"),
    ("ADD", body(CNI_ARGS="K8S_POD_NAMESPACE=A"), 4, "CNI_ARGS: K8S_POD_NAMESPACE 'A': must"),
    ("ADD", b"CNI_ARGS=\xff\0\0{}", 4, "CNI_ARGS: not UTF-8"),
    ("GC", body(), 7, "cni.dev/valid-attachments: GC needs it"),
    ("GC", body({"cni.dev/valid-attachments": [{"ifname": "eth0"}]}), 7, "valid-attachments"),
    ("CHECK", body(), 7, "prevResult: CHECK needs it"),
]


@pytest.mark.parametrize(("verb", "text", "code", "reason"), WRONG)
def test_what_is_wrong_is_refused_by_name(verb: str, text: bytes, code: int, reason: str) -> None:
    with pytest.raises(CniError) as caught:
        parse(verb, text)
    assert caught.value.code == code
    assert reason in str(caught.value)


@given(st.binary(max_size=200), st.sampled_from(["ADD", "DEL", "CHECK", "GC", "STATUS"]))
def test_no_input_brings_anything_but_an_answer(noise: bytes, verb: str) -> None:
    for text in (noise, noise + b"\0\0{}", body(noise)):
        try:
            assert parse(verb, text)
        except CniError as error:
            assert str(error).isprintable() or "\n" not in str(error)


def added(version: str) -> dict[str, Any]:
    call: CniCall = parse("ADD", body({"cniVersion": version}))
    addresses = [ip_address("10.244.0.2"), ip_address("fd00::2")]
    return result(call, "tl01020304", addresses, 1450)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_has_the_words_of_its_version(version: str) -> None:
    told = added(version)
    assert told["cniVersion"] == version
    assert [item["address"] for item in told["ips"]] == ["10.244.0.2/32", "fd00::2/128"]
    assert [item.get("version") for item in told["ips"]] == (
        ["4", "6"] if version < "1" else [None, None]
    )
    assert [item["interface"] for item in told["ips"]] == [1, 1]
    node, pod = told["interfaces"]
    assert (node["name"], pod["name"]) == ("tl01020304", "eth0")
    assert "sandbox" not in node and pod["sandbox"] == "/var/run/netns/cni-1"
    assert ("mtu" in pod) is (version == "1.1.0")
    assert told["routes"] == [
        {"dst": "0.0.0.0/0", "gw": "169.254.1.1"},
        {"dst": "::/0", "gw": "fe80::1"},
    ]


def test_one_family_has_one_route() -> None:
    told = result(parse("ADD", body()), "tl01020304", [ip_address("fd00::2")], 1500)
    assert told["routes"] == [{"dst": "::/0", "gw": "fe80::1"}]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CniError(7, "x"), 7),
        (Unavailable("x"), 11),
        (Refused("x"), 101),
        (KernelError(12, "x"), 102),
        (OSError(28, "x"), 102),
        (ZeroDivisionError("x"), 103),
    ],
)
def test_errors_have_codes(error: Exception, code: int) -> None:
    assert code_of(error) == code
    assert failure(error, "1.0.0") == {"cniVersion": "1.0.0", "code": code, "msg": str(error)}
