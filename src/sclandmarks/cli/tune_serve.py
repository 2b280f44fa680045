"""The proxy in front of PostgreSQL, for studies of hundreds of workers."""

from __future__ import annotations

import click


@click.command()
@click.option("--storage", required=True, help="postgresql://... behind the proxy.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you say otherwise: no password.")
@click.option("--port", default=13000, show_default=True, type=click.IntRange(1, 65535))
def serve(storage: str, host: str, port: int) -> None:
    """Serve the studies of a PostgreSQL to hundreds of workers, which then use --storage grpc://HOST:PORT."""
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        from sclandmarks.tune.storage import serve as serve_storage

        click.echo(f"workers reach it by --storage grpc://{host}:{port} (Ctrl-C ends it)")
        serve_storage(storage, host, port)
