"""`tulle operator`: what runs once in a cluster, beside the agents on its nodes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .kubernetes import access_of, kubernetes_options
from .options import Cidr, gateway_cidrs
from .options import cluster_name as checked_name

if TYPE_CHECKING:
    from tulle.agent.kube.operator import OperatorOptions
    from tulle.edges.kubernetes.config import Access


@click.command()
@click.option("--health-port", type=click.IntRange(0, 65535), default=9878, show_default=True)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default="/var/lib/tulle/operator",
    help="Keeps what was known over a restart.",
)
@click.option("--service-cidr", type=Cidr(), multiple=True, help="The same as `tulle up` has it.")
@click.option("--cluster-name", metavar="NAME", help="The same as `tulle up` has it.")
@kubernetes_options
def command(
    health_port: int,
    state_dir: Path,
    service_cidr: tuple[str, ...],
    cluster_name: str | None,
    **values: Any,
) -> None:
    """Write the status of Gateways, routes, policies and Services.

    Of several, one at a time. Ends with SIGTERM; what is written stays.
    """
    import asyncio

    from tulle.agent.kube.operator import OperatorOptions

    access = access_of(values)
    name = os.environ.get("POD_NAME") or socket.gethostname()
    options = OperatorOptions(
        namespace=os.environ.get("POD_NAMESPACE") or values["namespace"],
        identity=f"{name}_{os.getpid()}",
        service_cidrs=gateway_cidrs(service_cidr),
        state=state_dir,
        health_port=health_port,
        cluster_name=checked_name(cluster_name),
    )
    asyncio.run(_run(access, options))


async def _run(access: Access, options: OperatorOptions) -> None:
    import asyncio
    import logging
    import signal

    from tulle.agent.kube.operator import Operator, serve
    from tulle.edges.kubernetes.client import Client

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    client = Client(access)
    operator = Operator(client, options)
    runner = await serve(operator, options.health_port)
    running = asyncio.create_task(operator.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        pass  # that is how it ends
    finally:
        await runner.cleanup()
        await client.close()
