"""Commands about the house: where things are, what runs, whether this machine is fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from sclandmarks import paths


@click.command()
def where() -> None:
    """Say where the page, the metrics, the panels and the MLflow UI are."""
    rows = [
        ("report", paths.REPORT, "open it in a browser"),
        ("metrics", paths.COMPARISON, "`dvc metrics show`, `dvc metrics diff`"),
        ("panels", paths.PANELS, "one Parquet table a panel; CSV in the report"),
        ("models", paths.MODELS, "safetensors and JSON"),
        ("runs", paths.MLFLOW_DATABASE, "`make ui` shows them at http://127.0.0.1:5000"),
    ]
    for name, path, hint in rows:
        state = hint if path.exists() else "not there yet: `make repro` makes it"
        click.echo(f"{name:8} {path.resolve()}  ({state})")


@click.command()
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you say otherwise.")
def ui(port: int, host: str) -> None:
    """Serve the MLflow UI of the recorded runs."""
    from sclandmarks.params import load_params
    from sclandmarks.runtime import serving
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        uri = load_params().tracking.uri
        if uri and uri.startswith("http"):
            click.echo(f"runs are recorded by the server {uri}: open it in a browser")
            return
        store = uri or f"sqlite:///{paths.MLFLOW_DATABASE}"
        serving.check_whole(store)
        serving.check_free(host, port)
    paths.STATE.mkdir(exist_ok=True)
    click.echo(f"MLflow: http://{host}:{port} (Ctrl-C ends it)")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    place = ["--default-artifact-root", str(paths.MLFLOW_ARTIFACTS), "--host", host, "--port", str(port)]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    os.execve(sys.executable, [*command, *place, "--workers", "1"], os.environ | environment)  # noqa: S606


@click.command()
def datasets() -> None:
    """List the data sets of datasets.yaml."""
    from sclandmarks.io.registry.datasets import load_registry
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        for name, entry in load_registry().items():
            click.echo(f"{name:12} {entry.title}: {entry.tissue}, {entry.organism}. {entry.citation}")


@click.command()
def mend() -> None:
    """Mend files of DVC that a kill left torn; `make` does this first."""
    from sclandmarks.runtime.logs import plain_errors
    from sclandmarks.tracking.mend import mend as mended

    with plain_errors():
        for line in mended(Path.cwd()):
            click.echo(line)


@click.command()
def doctor() -> None:
    """Check this machine: Python, libraries, device, disk, settings."""
    from sclandmarks.runtime.doctor import findings

    found = list(findings())
    for finding in found:
        click.echo(f"{'ok ' if finding.good else 'BAD'} {finding.what}: {finding.says}")
    raise SystemExit(not all(finding.good for finding in found))
