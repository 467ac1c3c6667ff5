"""`tulle upgrade`: what goes together."""

from __future__ import annotations

import pytest

from tulle.errors import UsageError

from .conftest import Cli


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--rollback", "--set", "routing=native"), "--rollback takes the values of then"),
        (("--revision", "3"), "--revision goes with --rollback"),
        (("--set", "routing=bgp"), "routing: must be one of native, vxlan"),
    ],
)
def test_what_does_not_go_together(cli: Cli, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        cli("upgrade", *words)
