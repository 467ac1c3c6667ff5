"""How attempts become checks; real attempts are in tests/datapath/test_check.py."""

from pathlib import Path

import pytest

from tulle.cli.preflight import Check, Step, Trial, run
from tulle.errors import Broken, KernelError
from tulle.model.paths import NodePaths


def fails() -> str:
    raise KernelError(22, "load", "the verifier's\nlong log")


def test_what_depends_on_a_missing_thing_is_not_tried() -> None:
    steps = [
        Step("a", lambda: "fine", (0,), "x"),
        Step("b", fails, (1,), "get a b"),
        Step("c", lambda: "never", (1,), "x", ("a", "b")),
        Step("d", lambda: "never", (0,), "x", ("c",)),
    ]
    assert list(run(steps)) == [
        Check("a", True, "fine", (0,)),
        Check("b", False, "load: Invalid argument", (1,), "get a b"),
        Check("c", None, "not tried without b", (1,)),
        Check("d", None, "not tried without c", (0,)),
    ]


def test_capabilities_and_mounts_are_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    status, mounts = tmp_path / "self/status", tmp_path / "self/mounts"
    trial = Trial(NodePaths("check-1"), tmp_path)

    status.write_text("Name:\tx\nCapEff:\t0000000000001000\n")
    with pytest.raises(Broken, match=r"^CAP_SYS_ADMIN missing$"):
        trial.capabilities()
    status.write_text("CapEff:\t000001ffffffffff\n")
    assert trial.capabilities() == "CAP_NET_ADMIN, CAP_SYS_ADMIN"

    mounts.write_text("bpf /sys/fs/other bpf rw 0 0\n")
    with pytest.raises(Broken, match="not mounted at /sys/fs/bpf"):
        trial.bpffs()
    mounts.write_text("bpf /sys/fs/bpf bpf rw 0 0\n")
    assert trial.bpffs() == "/sys/fs/bpf"
