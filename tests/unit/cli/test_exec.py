"""`tulle exec` becomes the command."""

import subprocess
import sys

import pytest

from tulle.errors import Refused

from .conftest import Cli, FakeAgent


def test_no_such_workload(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/workloads/shop/web": (400, {"error": "no workload shop/web"})}
    with pytest.raises(Refused, match="no workload shop/web"):
        cli("exec", "-n", "shop", "web", "--", "ls", "-l")


def test_the_exit_code_is_the_command_s() -> None:
    code = (
        "from tulle.cli.exec import become\n"
        "become({'enter': ['/bin/sh', '-c', 'shift; exec \"$@\"', 'sh']}, ['sh', '-c', 'exit 7'])"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 7
