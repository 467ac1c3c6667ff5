"""Run a command inside a workload: its cgroup, network namespace, hosts file and hostname.

A program of its own, `python3 -IS enter.py OPTIONS -- COMMAND…`, of the standard library only,
so that it starts in tens of milliseconds; it ends by exec of the command. Exit codes of its own
are those of a shell: 127 not found, 126 not executable, and 125 for a workload that cannot be
entered.
"""

from __future__ import annotations

import os
import sys

# `argv` below writes what `main` reads; both ends are kept in this one file
_OPTIONS = ("netns", "cgroup", "hosts", "hostname", "cwd", "log", "parent")

CLONE_NEWNS = 0x20000
CLONE_NEWUTS = 0x4000000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 1 << 19
SIGPIPE, SIGXFSZ = 13, 25
HOSTNAME_MAX = 63


def argv(
    command: tuple[str, ...],
    *,
    netns: str,
    cgroup: str,
    hosts: str = "",
    hostname: str = "",
    cwd: str = "",
    log: str = "",
    parent: int = 0,
    env: dict[str, str] | None = None,
) -> list[str]:
    """The command line that runs `command` inside a workload.

    `hosts` is mounted over /etc/hosts, `log` takes stdout and stderr. With `parent`, the command
    is not run unless that process still is the parent once the cgroup is joined.
    """
    values = {
        "netns": netns,
        "cgroup": cgroup,
        "hosts": hosts,
        "hostname": hostname[:HOSTNAME_MAX],
        "cwd": cwd,
        "log": log,
        "parent": str(parent) if parent else "",
    }
    line = [sys.executable, "-IS", __file__]
    for name, value in values.items():
        line += [f"--{name}", value] if value else []
    for name, value in (env or {}).items():
        line += ["--env", f"{name}={value}"]
    return [*line, "--", *command]


def main(args: list[str]) -> int:
    """Enter and exec; returns (with an exit code) only if that failed."""
    options, env, command = _parse(args)
    if not command:
        return _fail(125, "no command given")
    try:
        _enter(options)
    except OSError as error:
        return _fail(125, f"cannot enter the workload: {error.filename or ''}: {error.strerror}")
    if options["parent"] and os.getppid() != int(options["parent"]):
        return 125
    return _exec(command, {**os.environ, **env})


def _parse(args: list[str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    options = dict.fromkeys(_OPTIONS, "")
    env: dict[str, str] = {}
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return options, env, list(rest)
        name, value = arg.removeprefix("--"), next(rest, "")
        if name == "env":
            key, _, env[key] = value.partition("=")
        elif name in options:
            options[name] = value
        else:
            raise SystemExit(_fail(125, f"unknown option {arg}"))
    return options, env, []


def _enter(options: dict[str, str]) -> None:
    if options["log"]:
        log = os.open(options["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    with open(options["cgroup"] + "/cgroup.procs", "w") as procs:  # noqa: PTH123 (no pathlib here)
        procs.write("0")
    _namespaces(options["netns"], options["hosts"], options["hostname"])
    if options["cwd"]:
        os.chdir(options["cwd"])


def _namespaces(netns: str, hosts: str, hostname: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *args: int | bytes | None, on: str) -> None:
        if getattr(libc, name)(*args) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), on)

    fd = os.open(netns, os.O_RDONLY)
    call("setns", fd, CLONE_NEWNET, on=netns)
    os.close(fd)
    if hosts:
        call("unshare", CLONE_NEWNS, on="mount namespace")
        # slave, not private: a namespace that the node unmounts must vanish here too
        call("mount", b"none", b"/", None, MS_REC | MS_SLAVE, None, on="/")
        call("mount", os.fsencode(hosts), b"/etc/hosts", None, MS_BIND, None, on=hosts)
        # no resolver can be reached from here: an empty file says so at once, not after 5 s
        if os.path.exists("/etc/resolv.conf"):  # noqa: PTH110 (no pathlib here)
            call("mount", b"/dev/null", b"/etc/resolv.conf", None, MS_BIND, None, on="resolv.conf")
    if hostname:
        name = hostname.encode()
        call("unshare", CLONE_NEWUTS, on="hostname")
        call("sethostname", name, len(name), on="hostname")


def _exec(command: list[str], env: dict[str, str]) -> int:
    import _signal  # type: ignore[import-not-found] # the public module costs a third of the start-up time

    for number in (SIGPIPE, SIGXFSZ):  # Python ignores them, and exec would hand that on
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, env)  # noqa: S606 (the command is the user's own)
    except FileNotFoundError:
        return _fail(127, f"{command[0]}: command not found")
    except PermissionError:
        return _fail(126, f"{command[0]}: permission denied")
    except OSError as error:
        return _fail(126, f"{command[0]}: {error.strerror}")


def _fail(code: int, reason: str) -> int:
    print(f"tulle: {reason}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
