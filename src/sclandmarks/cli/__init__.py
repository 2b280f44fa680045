"""The command line, for people; stages never go through it. One module a group of commands, all imported lightly."""

from __future__ import annotations

import click

from sclandmarks import __version__
from sclandmarks.cli.counts import ingest, inspect
from sclandmarks.cli.house import datasets, doctor, mend, ui, where
from sclandmarks.cli.predict import predict
from sclandmarks.cli.tune import tune
from sclandmarks.cli.tune_pages import dashboard, export, serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Choose landmark genes from single-cell RNA-seq and infer the others.

    The main job is `make repro` (or `dvc repro`) in the root of the repository.
    """


for command in (where, ui, datasets, doctor, mend, inspect, ingest, predict, tune):
    main.add_command(command)
for command in (export, dashboard, serve):
    tune.add_command(command)
