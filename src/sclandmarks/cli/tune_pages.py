"""Commands beside a search: its files, Optuna's dashboard, and the proxy that hundreds of workers share."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--study", "name", default=None, help="Name of the study; not needed where there is one alone.")
@click.option("--storage", default=None, help="Where it is kept, if not where its plan says.")
@click.option("--out", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
@click.option("--replace", is_flag=True, help="Write into a folder that holds files.")
def export(name: str | None, storage: str | None, folder: Path, replace: bool) -> None:
    """Write a study's trials, best settings, figures and page into a folder."""
    from sclandmarks import __version__
    from sclandmarks.params import load_params
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        from sclandmarks.tune.export import export as write
        from sclandmarks.tune.export import view
        from sclandmarks.tune.find import find_study
        from sclandmarks.tune.look import only_study

        study, plan = find_study(name or only_study(), storage)
        written = write(view(study, plan), folder, load_params().data.label, __version__, replace)
    click.echo("\n".join(map(str, written)))


@click.command()
@click.option("--study", "name", default=None, help="Show the storage of this study.")
@click.option("--storage", default=None, help="Show this storage: journal:PATH, postgresql://..., sqlite:///PATH.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you say otherwise.")
def dashboard(name: str | None, storage: str | None, port: int, host: str) -> None:
    """Show studies in a browser by Optuna's dashboard. Whoever reaches it may change and delete studies."""
    if (name is None) == (storage is None):
        raise click.UsageError("expected --study or --storage, one of them")
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        from sclandmarks.tune.dashboard import serve_dashboard

        serve_dashboard(name, storage, host, port, click.echo)


@click.command()
@click.option("--storage", required=True, help="postgresql://...")
@click.option("--port", default=13000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you say otherwise.")
def serve(storage: str, port: int, host: str) -> None:
    """Serve a PostgreSQL storage to hundreds of workers: they take --storage grpc://HOST:PORT.

    Whoever reaches it may change and delete studies.
    """
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        from sclandmarks.tune.storage import serve as serve_storage
        from sclandmarks.tune.storage import without_password

        click.echo(f"{without_password(storage)} at grpc://{host}:{port} (Ctrl-C ends it)")
        serve_storage(storage, host, port)
