"""Become an Envoy: join its cgroup and network namespace, give up privileges, exec.

A program of its own, `python3 -IS launch.py OPTIONS -- COMMAND…`, of the standard library only.
The command runs as USER in a directory of its own, has of root's powers only KEPT, and can gain
none. It may not come to that directory from the root of the file system: its paths begin there.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from struct import pack

# `argv` below writes what `main` reads
_OPTIONS = ("netns", "cgroup", "cwd", "log", "program")

CLONE_NEWNET = 0x40000000
CAP_NET_BIND_SERVICE, CAP_NET_RAW = 10, 13
KEPT = (CAP_NET_BIND_SERVICE, CAP_NET_RAW)  # low ports; IP_TRANSPARENT and SO_MARK
USER = 29813  # "tu": a number that nobody else has
PR_SET_KEEPCAPS, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 8, 23, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
PROGRAM_FD = 9  # where the command finds the BPF program
LOG_BYTES = 16 << 20  # what is written beyond is lost


def argv(
    command: tuple[str, ...], *, cgroup: str, cwd: str, log: str, netns: str, program: int
) -> list[str]:
    """The command line that becomes `command`.

    `netns` "" is the caller's; `log` takes stdout and stderr; `program` is a descriptor to inherit.
    """
    values = {"netns": netns, "cgroup": cgroup, "cwd": cwd, "log": log, "program": str(program)}
    line = [sys.executable, "-IS", __file__]
    for name, value in values.items():
        line += [f"--{name}", value] if value else []
    return [*line, "--", *command]


def main(args: list[str]) -> int:
    """Returns, with an exit code, only if something failed."""
    split = args.index("--")
    options = dict.fromkeys(_OPTIONS, "")
    options.update({args[at].removeprefix("--"): args[at + 1] for at in range(0, split, 2)})
    command = args[split + 1 :]
    try:
        _enter(options)
        binary = os.open(command[0], os.O_RDONLY | os.O_CLOEXEC)  # USER may not come to it
        _limit()
        _drop()
        os.execve(binary, command, {})  # noqa: S606
    except OSError as error:
        print(f"tulle: cannot start the proxy: {error}", file=sys.stderr, flush=True)
        return 125


def _enter(options: dict[str, str]) -> None:
    log = os.open(options["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    with open(options["cgroup"] + "/cgroup.procs", "w") as procs:  # noqa: PTH123
        procs.write("0")
    if options["netns"]:
        fd = os.open(options["netns"], os.O_RDONLY)
        _call("setns", fd, CLONE_NEWNET)
        os.close(fd)
    os.chdir(options["cwd"])
    os.dup2(int(options["program"]), PROGRAM_FD)


def _limit() -> None:
    """SIGXFSZ stays ignored, as Python has it: a full log is no reason to die."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LOG_BYTES, LOG_BYTES))
    most = most_files()
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_files() -> int:
    """How many an Envoy of this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _drop() -> None:
    """capabilities(7): the bounding set, so that nothing comes back, then what is held.

    What another user than root is to have after exec has to be ambient.
    """
    number = 0
    while _libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        if number not in KEPT:
            _call("prctl", PR_CAPBSET_DROP, number, 0, 0, 0)
        number += 1
    _call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    kept = sum(1 << number for number in KEPT)
    _call("capset", pack("=II", CAPABILITY_VERSION_3, 0), pack("=6I", kept, kept, kept, 0, 0, 0))
    for number in KEPT:
        _call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0)
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: int | bytes) -> None:
    if getattr(_libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
