"""What Envoy starts with is a configuration that Envoy takes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tulle import xds
from tulle.compile.regex import MAX_PROGRAM
from tulle.edges.envoy.bootstrap import Bootstrap
from tulle.edges.envoy.process import binary
from tulle.model.proxy import AGENT, RUNTIME


def test_envoy_takes_it(tmp_path: Path) -> None:
    config = tmp_path / "1.pb"
    config.write_bytes(Bootstrap("n", "n/1", tmp_path / "ads.sock", tmp_path / "admin").pack())
    command = [binary()[0], "--mode", "validate", "-c", config, "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_only_the_owner_may_ask_it(tmp_path: Path) -> None:
    packed = Bootstrap("n", "n/1", tmp_path / "ads.sock", tmp_path / "admin").pack()
    read: Any = xds.message("envoy.config.bootstrap.v3.Bootstrap").FromString(packed)
    assert read.admin.address.pipe.mode == 0o600
    assert (read.node.cluster, read.node.id) == ("n", "n/1")
    assert [cluster.name for cluster in read.static_resources.clusters] == [AGENT]


def test_its_runtime_has_values_by_name(tmp_path: Path) -> None:
    packed = Bootstrap("n", "n/1", tmp_path / "ads.sock", tmp_path / "admin").pack()
    read: Any = xds.message("envoy.config.bootstrap.v3.Bootstrap").FromString(packed)
    values = read.layered_runtime.layers[0].static_layer.fields
    assert all(values[name].bool_value for name in RUNTIME)
    assert values["re2.max_program_size.error_level"].number_value == MAX_PROGRAM
