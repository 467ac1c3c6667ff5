"""The server: one nginx worker that answers every request with the same 1 KB from memory.

It does as little as a real server can, so that the way to it weighs as much as it can.
"""

from __future__ import annotations

from pathlib import Path

PORT = 80
BODY_BYTES = 1024

_CONFIG = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {port} backlog=4096;
        location / {{ default_type text/plain; return 200 "{body}"; }}
    }}
}}
"""


def command_line(directory: Path, cpu: int) -> tuple[str, ...]:
    """Write nginx's configuration into `directory`; the argv that serves it, on one core."""
    config = directory / "nginx.conf"
    config.write_text(
        _CONFIG.format(directory=directory, port=PORT, body="x" * (BODY_BYTES - 1) + "\\n")
    )
    return ("taskset", "-c", str(cpu), "nginx", "-e", "stderr", "-c", str(config))
