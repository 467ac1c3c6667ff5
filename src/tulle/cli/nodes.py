"""Brings a node's agent up in the background, and takes a node down: for `up`, `down` and `lab`."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tulle.errors import AgentDown, Broken, Refused, TulleError, Unavailable

from .client import Agent

START_TIMEOUT_S = 60.0  # a large world takes a quarter of it on a machine with nothing else to do
STOP_TIMEOUT_S = 60.0
_POLL_S = 0.05
_TAIL_LINES = 15


def start(agent: Agent, arguments: Sequence[str] = ()) -> int:
    """Start the agent as a session of its own and wait until its policy is in force; its pid.

    `arguments` are those of `tulle up`. Raises Refused if an agent is up, Broken with the end of
    its log if it does not come up.
    """
    return start_all({agent: arguments})[agent]


def start_all(arguments: Mapping[Agent, Sequence[str]]) -> dict[Agent, int]:
    """The same for several nodes' agents at once: all of them are up afterwards, or none."""
    for agent in arguments:
        if pid := running_pid(agent):
            raise Refused(f"the agent of node {agent.paths.node!r} is up already (pid {pid})")
    processes = {agent: _spawn(agent, line) for agent, line in arguments.items()}
    try:
        for agent, process in processes.items():
            _wait_until_up(agent, process)
    except BaseException as error:
        for process in processes.values():
            process.terminate()
            process.wait()
        if isinstance(error, TulleError):
            log = log_path(agent)
            raise Broken(f"{error}; the end of {log}:\n{tail(log)}") from error
        raise
    return {agent: process.pid for agent, process in processes.items()}


def log_path(agent: Agent) -> Path:
    return agent.paths.state / "agent.log"


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    text = log.read_text(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in text[-lines:])


def running_pid(agent: Agent) -> int | None:
    """The agent's process, None if nobody listens. Raises Unavailable if it does not answer."""
    try:
        return int(agent.get("/v1/status", timeout_s=5.0)["pid"])
    except AgentDown:
        return None


def stop(agent: Agent) -> list[str]:
    """Take the node down, with an agent or without one; names of the workloads that it had."""
    from tulle.lab.node import destroy

    stopped: list[str] = []
    pid = _settled_pid(agent)
    if pid is not None:
        # before it is asked: afterwards the number may be another's
        handle = os.pidfd_open(pid)
        try:
            stopped = [str(name) for name in agent.post("/v1/shutdown")["stopped"]]
            _wait_until_ended(agent, handle)
        finally:
            os.close(handle)
    destroy(agent.paths.node)
    return stopped


def _settled_pid(agent: Agent) -> int | None:
    """Like `running_pid`, but waits for an agent that is on its way up or down."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while (pid := running_pid(agent)) is None and _is_locked(agent):
        if time.monotonic() > deadline:
            raise Unavailable(
                f"an agent holds {agent.paths.lock} but has not answered for "
                f"{START_TIMEOUT_S:.0f} s: end it first"
            )
        time.sleep(_POLL_S)
    return pid


def _is_locked(agent: Agent) -> bool:
    try:
        fd = os.open(agent.paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _spawn(agent: Agent, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    log = log_path(agent)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = [sys.executable, "-P", "-m", "tulle.cli", "--node", agent.paths.node, "up", *arguments]
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=fd, stderr=fd, start_new_session=True, cwd="/"
        )
    finally:
        os.close(fd)


def _wait_until_up(agent: Agent, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    problem = "no answer"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Broken(f"the agent ended with exit code {process.returncode}")
        try:
            status = agent.get("/v1/status", timeout_s=1.0)
        except Unavailable:
            pass
        else:
            if status["apply"]:
                return
            problem = "; ".join(status["problems"]) or problem
        time.sleep(_POLL_S)
    raise Unavailable(f"the agent is not up after {START_TIMEOUT_S:.0f} s: {problem}")


def _wait_until_ended(agent: Agent, handle: int) -> None:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if not poll.poll(STOP_TIMEOUT_S * 1000):
        raise Unavailable(
            f"the agent of node {agent.paths.node!r} has not ended after {STOP_TIMEOUT_S:.0f} s"
        )


def report_up(agent: Agent, pid: int, output: str, began_s: float) -> None:
    """`began_s` is the time.monotonic() at which somebody began to wait."""
    if output == "json":
        from .output import print_json

        print_json({"node": agent.paths.node, "pid": pid, "log": str(log_path(agent))})
        return
    took_s = time.monotonic() - began_s
    click.echo(f"node {agent.paths.node} is up after {took_s:.1f} s (pid {pid})")
    click.echo(f"log: {log_path(agent)}")
