"""The launcher reads what its own `argv` writes, and says what is wrong."""

import subprocess
import sys

import pytest

from tulle.edges import enter


def test_what_argv_writes_is_what_main_reads() -> None:
    line = enter.argv(
        ("sh", "-c", "a -- b"),
        netns="/n",
        cgroup="/c",
        hosts="/h",
        cwd="/",
        parent=7,
        env={"A": "1=2", "B": ""},
    )
    assert line[:2] == [sys.executable, "-IS"]
    options, env, command = enter._parse(line[3:])
    assert command == ["sh", "-c", "a -- b"]
    assert env == {"A": "1=2", "B": ""}
    assert options == {
        "netns": "/n",
        "cgroup": "/c",
        "hosts": "/h",
        "hostname": "",
        "cwd": "/",
        "log": "",
        "parent": "7",
    }


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--netns", "/n", "--"], "no command given"),
        (["--nonsense", "/n", "--", "true"], "unknown option --nonsense"),
        (["--netns", "/n", "--cgroup", "/none", "--", "true"], "cannot enter the workload: /none"),
    ],
)
def test_what_cannot_be_entered_ends_with_125_and_a_reason(args: list[str], reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-IS", enter.__file__, *args], capture_output=True, text=True
    )
    assert done.returncode == 125
    assert done.stderr.startswith(f"tulle: {reason}")


def test_hostname_is_cut_to_what_the_kernel_takes() -> None:
    line = enter.argv(("true",), netns="/n", cgroup="/c", hostname="x" * 100)
    assert line[line.index("--hostname") + 1] == "x" * 63
