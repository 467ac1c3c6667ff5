"""What Envoy starts with is a configuration that Envoy takes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tulle import xds
from tulle.compile.regex import MAX_PROGRAM
from tulle.edges.envoy.bootstrap import Bootstrap
from tulle.edges.envoy.process import binary
from tulle.model.proxy import AGENT, RUNTIME


def test_envoy_takes_it(tmp_path: Path) -> None:
    config = tmp_path / "1.pb"
    packed = Bootstrap("n", "n/1", tmp_path / "ads.sock", tmp_path / "admin", 20_000).pack()
    config.write_bytes(packed)
    command = [binary()[0], "--mode", "validate", "-c", config, "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_only_the_owner_may_ask_it(tmp_path: Path) -> None:
    packed = Bootstrap("n", "n/1", tmp_path / "ads.sock", tmp_path / "admin", 20_000).pack()
    read: Any = xds.message("envoy.config.bootstrap.v3.Bootstrap").FromString(packed)
    assert read.admin.address.pipe.mode == 0o600
    assert (read.node.cluster, read.node.id) == ("n", "n/1")
    assert [cluster.name for cluster in read.static_resources.clusters] == [AGENT]


def test_its_runtime_has_values_by_name(tmp_path: Path) -> None:
    packed = Bootstrap("n", "n/1", tmp_path / "ads.sock", tmp_path / "admin", 20_000).pack()
    read: Any = xds.message("envoy.config.bootstrap.v3.Bootstrap").FromString(packed)
    values = read.layered_runtime.layers[0].static_layer.fields
    assert all(values[name].bool_value for name in RUNTIME)
    assert values["re2.max_program_size.error_level"].number_value == MAX_PROGRAM


@pytest.mark.parametrize(("files", "most"), [(20_000, 6_666), (1 << 20, 50_000)])
def test_it_takes_no_more_clients_than_it_has_files_for(files: int, most: int) -> None:
    packed = Bootstrap("n", "n/1", Path("ads.sock"), Path("admin"), files).pack()
    read: Any = xds.message("envoy.config.bootstrap.v3.Bootstrap").FromString(packed)
    (monitor,) = read.overload_manager.resource_monitors
    kind = "downstream_connections.v3.DownstreamConnectionsConfig"
    limit: Any = xds.message(f"envoy.extensions.resource_monitors.{kind}")()
    assert monitor.typed_config.Unpack(limit)
    assert limit.max_active_downstream_connections == most
