"""`tulle upgrade`: the version of this command in a cluster, or one that was there before."""

from __future__ import annotations

from typing import Any

import click

from tulle.errors import UsageError

from .chosen import installing, told, wish_of
from .kubernetes import within


@click.command()
@click.option("--rollback", is_flag=True, help="Go back to what was installed before.")
@click.option("--revision", type=click.IntRange(1), help="To which revision.")
@installing
def command(rollback: bool, revision: int | None, output: str, **values: Any) -> None:
    """Upgrade Tulle in a cluster, node by node.

    Values that were chosen before stay. If the new version is not ready in time, the one before is
    put back.
    """
    from tulle.install.upgrade import install, roll_back

    wish = wish_of(values)
    if rollback and wish.values:
        raise UsageError("--rollback takes the values of then: no others can be given")
    if revision and not rollback:
        raise UsageError("--revision goes with --rollback")
    if rollback:
        done = within(values, lambda cluster: roll_back(cluster, wish, revision))
    else:
        done = within(values, lambda cluster: install(cluster, wish, anew=False))
    told(done, output)
