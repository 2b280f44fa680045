"""The command that predicts from a file of counts."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from sclandmarks.errors import ParamsError

ABOUT = "model.json"  # as io.models has it, which imports torch
IS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Parquet: a row a cell, a column a target.")
def predict(model: str, file: Path, out: Path) -> None:
    """Predict, from a file of counts, the genes that a panel leaves out.

    MODEL is the folder of a stored model, the one with model.json, in any place; in the root of a repository, the name
    of a fit will do. FILE is what `inspect` can read. --out is a file in a folder that is there.

    A model with `panel_total: true` needs the panel's counts alone, and normalises them by the panel's own total. One
    of counts needs them alone too, and normalises nothing. Any other needs counts of all genes that it was made with:
    its values are normalised by all reads of a cell in them, as its model.json says; params.yaml is not read.

    A cell without any read of the panel gets what the model gives for a panel of zeros, the same for each of them;
    a warning says how many there are.
    """
    from sclandmarks.io.predicting import predict_file
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        folder = model_folder(model)
        check_out(out, [file, folder])
        done = predict_file(folder, file, out)
    size = f"{done.n_cells:,} cells x {done.n_targets:,} genes"
    click.echo(f"{out}: {size}, from values normalised by {done.normalised_by}")


def model_folder(model: str) -> Path:
    """Folder of a model that is given as such, or as the name of a fit.

    Raises
    ------
    ParamsError
        If there is no model.
    """
    from sclandmarks import paths

    for folder in [Path(model)] + [paths.model(model)] * bool(IS_NAME.fullmatch(model)):
        if _is(Path.is_file, folder / ABOUT):
            return folder
    raise ParamsError(
        f"a folder with a {ABOUT}, or the name of a fit with one in {paths.MODELS}/",
        f"{reprlib.repr(model)}, {_what(Path(model))}",
        _known(paths.MODELS),
    )


def _is(ask: Callable[[Path], bool], path: Path) -> bool:
    """Ask what a path is; one that the system cannot look at, as it is too long or closed, is nothing."""
    try:
        return ask(path)
    except OSError:
        return False


def _what(path: Path) -> str:
    if _is(Path.is_dir, path):
        return f"a folder without {ABOUT}"
    return "a file" if _is(Path.is_file, path) else "which is not there"


def _known(models: Path) -> str:
    if not _is(Path.is_dir, models):
        return "Give the path of the model's folder, as it was copied from models/ of its repository."
    names = sorted(folder.name for folder in models.iterdir() if _is(Path.is_file, folder / ABOUT))
    return f"Models here: {', '.join(names) or 'none'}."


def check_out(out: Path, read: Sequence[Path]) -> None:
    """Refuse to write over a folder, a device, or what is read, and where nothing can be written.

    Raises
    ------
    ParamsError
        If `out` is no file, its folder is not there or closed, or it is one of `read` or lies in it.
    """
    try:
        got = _fault(out, read)
    except OSError as error:  # for example too long a name
        got = f"{reprlib.repr(str(out))}: {error.strerror}"
    if got:
        expected = "a file for --out, in a folder that is there, apart from the counts and the model"
        raise ParamsError(expected, got, "Choose another --out.")


def _fault(out: Path, read: Sequence[Path]) -> str:
    folder = out.parent
    if not folder.is_dir():
        return f"{out}, whose folder is not there"
    if out.is_dir():
        return f"{out}, a folder"
    if out.exists() and not out.is_file():
        return f"{out}, which is no file but a device or a pipe"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{out}, in a folder that may not be written to"
    for path in read:
        if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(path)):
            return f"{out}, which is {path} or lies in it, and would be lost"
    return ""
