"""Processes are told apart by when they started."""

from __future__ import annotations

import os
import subprocess

from tulle.edges.envoy.process import Process, process_of


def test_who_has_the_same_number_is_another_one() -> None:
    me = process_of(os.getpid())
    assert me.is_alive
    assert not Process(me.pid, me.started + 1).is_alive


def test_one_that_ended_before_anybody_looked_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    try:
        assert not process_of(child.pid).is_alive
    finally:
        child.wait()
