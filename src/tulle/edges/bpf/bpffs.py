"""The BPF file system, where everything is pinned."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tulle.errors import Broken

ROOT = Path("/sys/fs/bpf")


def mount() -> None:
    """Mount bpffs at its usual place, where it then stays: it may be others' too."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if any(line.split(" ")[4] == str(ROOT) for line in mounts):
        return
    done = subprocess.run(
        ["/bin/mount", "-t", "bpf", "bpf", str(ROOT)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Broken(f"bpffs cannot be mounted on {ROOT}: {done.stderr.strip()}")
