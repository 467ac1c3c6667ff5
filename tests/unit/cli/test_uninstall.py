"""`tulle uninstall` asks first."""

from __future__ import annotations

from .conftest import Cli


def test_it_asks_first(cli: Cli) -> None:
    done = cli("uninstall", stdin=b"n\n", code=1)
    assert "Pods that Tulle wired lose their network" in done.output
