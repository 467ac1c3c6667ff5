"""The plugin as a process: what it sends, what it prints, and how long it waits for whom."""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tulle.cni.plugin as module
from tulle.agent.cni import VERSIONS

SOURCE = Path(module.__file__)
ANSWER = b'{"cniVersion": "1.1.0"}\n'


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    installed = tmp_path / "tulle"
    source = SOURCE.read_text().replace("@SOCKET@", str(tmp_path / "sock"))
    installed.write_text(source.replace("PATIENCE_S = 60.0", "PATIENCE_S = 5.0"))
    installed.chmod(0o755)
    return installed


def call(plugin: Path, verb: str, stdin: bytes = b"{}", **more: str) -> tuple[int, Any]:
    env = {"CNI_COMMAND": verb, **more}
    done = subprocess.run([plugin], input=stdin, capture_output=True, env=env, timeout=20)
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout) if done.stdout else None


@contextmanager
def agent(plugin: Path, *answers: bytes | None) -> Iterator[list[bytes]]:
    """One that gives each caller the next answer; None: it ends before it has given any."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plugin.with_name("sock")))
        listener.listen()
        listener.settimeout(10)

        def serve() -> None:
            for answer in answers:
                caller = listener.accept()[0]
                with caller:
                    asked.append(_request(caller))
                    if answer is not None:
                        caller.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join(10)
        assert not thread.is_alive()


def _request(caller: socket.socket) -> bytes:
    text = b""
    while b"\r\n\r\n" not in text:
        text += caller.recv(65536)
    head, _, body = text.partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += caller.recv(65536)
    return head + b"\r\n\r\n" + body


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.0 %d X\r\nContent-Type: application/json\r\n\r\n%b" % (status, body)


def test_it_asks_for_nothing_but_what_is_built_in() -> None:
    tree = ast.walk(ast.parse(SOURCE.read_text()))
    imported = {name.name for node in tree if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"_socket", "posix", "sys", "time"}
    assert SOURCE.read_text().startswith("#!/usr/bin/python3 -IS\n")


def test_the_version_is_told_without_an_agent(plugin: Path) -> None:
    code, answer = call(plugin, "VERSION")
    assert (code, answer) == (0, {"cniVersion": "1.1.0", "supportedVersions": [*VERSIONS]})


def test_variables_and_configuration_are_passed_on_as_they_are(plugin: Path) -> None:
    config = json.dumps({"name": "é", "pad": "x" * 300_000}).encode()
    hostile = "a\r\nX-Header: b\r\n\r\n;é=\t"
    with agent(plugin, http(ANSWER)) as asked:
        result = call(plugin, "ADD", config, CNI_ARGS=hostile, PATH="/bin")
    assert result == (0, {"cniVersion": "1.1.0"})
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/cni/ADD HTTP/1.0\r\n") and b"X-Header" not in head
    variables, _, stdin = body.partition(b"\0\0")
    assert stdin == config
    assert set(variables.split(b"\0")) == {b"CNI_COMMAND=ADD", f"CNI_ARGS={hostile}".encode()}


def test_an_answer_without_a_body_prints_nothing(plugin: Path) -> None:
    with agent(plugin, http(b"")):
        assert call(plugin, "DEL") == (0, None)


def test_an_error_of_cni_is_printed_as_it_is(plugin: Path) -> None:
    told = {"cniVersion": "1.0.0", "code": 7, "msg": "no"}
    with agent(plugin, http(json.dumps(told, separators=(",", ":")).encode(), 400)):
        assert call(plugin, "ADD") == (1, told)


@pytest.mark.parametrize("answer", [http(b"404: Not Found", 404), b"HTTP/1.0 500 X\r\n\r\n"])
def test_what_is_no_answer_of_cni_becomes_one(plugin: Path, answer: bytes) -> None:
    with agent(plugin, answer):
        code, told = call(plugin, "ADD")
    status = answer.split()[1].decode()
    assert (code, told["code"]) == (1, 100) and status in told["msg"]


@pytest.mark.parametrize("first", [None, b"HTTP/1.0 200 O", b"\r\n\r\n"])
def test_an_agent_that_dies_over_a_call_is_asked_again(plugin: Path, first: bytes | None) -> None:
    with agent(plugin, first, http(ANSWER)) as asked:
        assert call(plugin, "ADD")[0] == 0
    assert len(asked) == 2 and asked[0] == asked[1]


def test_an_agent_that_is_away_is_waited_for(plugin: Path) -> None:
    answer: list[Any] = []
    waiting = threading.Thread(target=lambda: answer.append(call(plugin, "ADD")))
    waiting.start()
    time.sleep(0.3)
    assert answer == []
    with agent(plugin, http(ANSWER)):
        waiting.join(10)
    assert answer == [(0, {"cniVersion": "1.1.0"})]


def test_one_that_stays_away_is_given_up(plugin: Path) -> None:
    plugin.write_text(plugin.read_text().replace("PATIENCE_S = 5.0", "PATIENCE_S = 0.2"))
    code, told = call(plugin, "ADD")
    assert (code, told["code"]) == (1, 11) and "try again later" in told["msg"]


def test_status_does_not_wait(plugin: Path) -> None:
    code, told = call(plugin, "STATUS")
    assert (code, told["code"]) == (1, 50)


def test_a_socket_that_cannot_be_is_told_at_once(plugin: Path) -> None:
    plugin.write_text(plugin.read_text().replace("/sock", "/" + "x" * 200))
    code, told = call(plugin, "ADD")
    assert (code, told["code"]) == (1, 5) and "too long" in told["msg"]


def test_as_loopback_it_needs_no_agent(plugin: Path) -> None:
    loopback = plugin.rename(plugin.with_name("loopback"))
    code, told = call(loopback, "ADD")
    assert (code, told["interfaces"]) == (0, [{"name": "lo"}])
    code, known = call(loopback, "VERSION")
    assert code == 0 and told["cniVersion"] in known["supportedVersions"]
    assert call(loopback, "DEL") == (0, None)


@pytest.mark.parametrize("verb", ["", "add", "ADD\r\nX: y", "NOP"])
def test_other_commands_are_refused(plugin: Path, verb: str) -> None:
    code, told = call(plugin, verb)
    assert (code, told["code"]) == (1, 4)
