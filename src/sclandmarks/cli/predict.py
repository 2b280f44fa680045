"""The command that predicts from a file of counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from sclandmarks.errors import ParamsError


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Parquet: a row a cell, a column a target.")
def predict(model: str, file: Path, out: Path) -> None:
    """Predict, from a file of counts, the genes that a panel leaves out.

    MODEL is a fit of params.yaml, or a folder with a model.json. FILE is what `inspect` can read.

    A model with `panel_total: true` needs the panel's counts alone, and normalises them by the panel's own total. One
    of counts needs them alone too, and normalises nothing. Any other needs counts of all genes that it was made with:
    its values are normalised by all reads of a cell, as section prepare of params.yaml says.
    """
    from sclandmarks import paths
    from sclandmarks.io.models import ABOUT
    from sclandmarks.io.predicting import predict_file
    from sclandmarks.params import load_params
    from sclandmarks.runtime.logs import plain_errors

    folder = Path(model) if (Path(model) / ABOUT).is_file() else paths.model(model)
    with plain_errors():
        check_out(out, [file, folder])
        done = predict_file(folder, file, out, load_params().prepare)
    size = f"{done.n_cells:,} cells x {done.n_targets:,} genes"
    click.echo(f"{out}: {size}, from values normalised by {done.normalised_by}")


def check_out(out: Path, read: Sequence[Path]) -> None:
    """Refuse to write over a folder, or over what is read.

    Raises
    ------
    ParamsError
        If `out` is a folder, or is one of `read` or lies in it.
    """
    got = f"{out}, a folder" if out.is_dir() else ""
    for path in read:
        if out.resolve().is_relative_to(path.resolve()):
            got = f"{out}, which is {path} or lies in it, and would be lost"
    if got:
        raise ParamsError("a file for --out that is apart from the counts and the model", got, "Choose another --out.")
