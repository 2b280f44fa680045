"""Commands about files of counts: what a file is, and how it becomes a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sclandmarks.io.inspect import Inspection
    from sclandmarks.io.own.adopt import Adopted, How

ROLES = {
    "labels": "A table with a cell type, or more, for each cell.",
    "clusters": "A cluster for each cell, of PanglaoDB.",
    "annotations": "A cell type for each cluster, of PanglaoDB.",
    "barcodes": "Names of the cells, where they do not lie beside matrix.mtx.",
    "features": "Names of the genes, where they do not lie beside matrix.mtx.",
}
WORDS = {
    "title": "For reports.", "organism": "Otherwise by the genes' names.", "tissue": "Of every cell.",
    "donor": "Of every cell.", "sample": "Of every cell.", "condition": "Of every cell.",
    "citation": "Where the counts were published.", "licence": "Of the counts.",
}  # fmt: skip
COLUMNS = ("cell_type", "donor", "sample", "tissue", "condition")
Command = TypeVar("Command", bound=Callable[..., Any])


def _role_options(command: Command) -> Command:
    for role, says in reversed(ROLES.items()):
        command = click.option(f"--{role}", metavar="FILE", help=says)(command)
    return command


def _entry_options(command: Command) -> Command:
    for column in reversed(COLUMNS):
        names = ["--cell-type"] if column == "cell_type" else []
        of = column.replace("_", " ")
        option = click.option(*names, f"--{column.replace('_', '-')}-column", f"column_{column}", metavar="COLUMN",
                              help=f"Column of the file with the {of} of each cell.")  # fmt: skip
        command = option(command)
    for key, says in reversed(WORDS.items()):
        command = click.option(f"--{key}", metavar="TEXT", help=says)(command)
    return command


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="All that is found, as JSON.")
@_role_options
def inspect(file: Path, as_json: bool, **roles: str | None) -> None:
    """Say what a file or folder of counts is.

    Also what to add to datasets.yaml, and what stands in the way. Exit code 1 where it cannot be read as it is.
    """
    import json
    import shlex

    from sclandmarks.cli.show import page
    from sclandmarks.io.inspect.isolated import inspect_isolated as look

    with _quiet_errors():
        found = look(file, {role: Path(path) for role, path in roles.items() if path})
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        click.echo(page(found))
        if found.is_fit:
            command = shlex.join(["sclandmarks", "ingest", _not_an_option(file), "--name", found.name])
            click.echo(f"\nAdd this to datasets.yaml, or run `{command}`:\n")
            click.echo(found.yaml, nl=False)
    raise SystemExit(not found.is_fit)


def _not_an_option(file: Path) -> str:
    return f"./{file}" if str(file).startswith("-") else str(file)


@click.command()
@click.argument("file")
@click.option("--name", required=True, help="Of the data set: letters, digits, _ and -.")
@_entry_options
@click.option("--matrix", metavar="NAME", help="X, raw.X or layers/NAME; otherwise the first of whole numbers.")
@click.option("--reader", "settings", metavar="KEY=VALUE", multiple=True, help="Any other setting of the reader.")
@_role_options
@click.option("--in-place", "how", flag_value="in-place", help="Leave the file where it is.")
@click.option("--link", "how", flag_value="link", help="Hard link in own/ instead of a copy.")
@click.option("--copy", "how", flag_value="copy", default="copy", help="Copy to own/, the default.")
@click.option("--replace", is_flag=True, help="Take the place of a data set of this name.")
@click.option("--use/--no-use", default=False, help="Name it, and it alone, under data.datasets in params.yaml.")
def ingest(file: str, name: str, **options: Any) -> None:
    """Make a file, a folder or an http(s) address of counts a data set.

    It is inspected, copied to own/NAME, read whole into data/raw/NAME, and added to datasets.yaml; on any failure
    nothing of it is left.
    """
    files = {"counts": file} | {role: options[role] for role in ROLES if options[role]}
    with _quiet_errors(), _ended_by_signals(), _named_failure(name):
        if file.startswith(("http://", "https://")):
            _from_web(name, files, options)
        else:
            _from_disk(name, {role: Path(path) for role, path in files.items()}, options)


def _from_disk(name: str, files: dict[str, Path], options: Mapping[str, Any]) -> None:
    from sclandmarks.io.inspect.isolated import inspect_isolated as look
    from sclandmarks.io.own.adopt import OWN, Wish, adopt, check_free

    given = {role: path for role, path in files.items() if role != "counts"}
    check_free(Wish(name, {}, files, options["how"], options["replace"]))
    found = look(files["counts"], given)
    entry = _entry(found, options)
    is_own = files["counts"].resolve().is_relative_to(OWN.resolve())
    source = {key: value for key, value in entry["source"].items() if key not in ("kind", "path")}
    files |= {role: Path(path) for role, path in source.items()}
    how: How = "in-place" if is_own else options["how"]
    if how == "in-place":
        entry["source"] = {"kind": "file"} | {
            {"counts": "path"}.get(role, role): _from_root(path) for role, path in files.items()
        }
    _tell(name, adopt(Wish(name, entry, files, how, options["replace"], options["use"])), options["use"])


def _from_web(name: str, files: dict[str, str], options: Mapping[str, Any]) -> None:
    from sclandmarks.io.inspect.isolated import inspect_isolated as look
    from sclandmarks.io.own.adopt import Wish, adopt, check_free, fetched_aside, web_source

    source = web_source(files)
    check_free(Wish(name, {}, replace=options["replace"]))
    with fetched_aside(source) as fetched:
        here = {role: fetched.path(url) for role, url in source.addresses.items()}
        found = look(here.pop("counts"), here)
        entry = _entry(found, options) | {"source": source.model_dump(mode="json", exclude_defaults=True)}
        adopted = adopt(Wish(name, entry, replace=options["replace"], use=options["use"], fetched=fetched))
    _tell(name, adopted, options["use"])


def _entry(found: Inspection, options: Mapping[str, Any]) -> dict[str, Any]:
    """The entry found, with what the user says; refused where the file is not fit and the user says nothing of it."""
    from sclandmarks.errors import DataError

    asked = _settings(options)
    if not found.is_fit and not asked:
        faults = [problem for problem in found.problems if problem.fatal]
        got = "; ".join(problem.what for problem in faults)
        error = DataError("raw counts of cells x genes", got, " ".join(dict.fromkeys(one.remedy for one in faults)))
        error.add_note(f"file {found.path}; `sclandmarks inspect` says more")
        raise error
    words = {key: options[key] for key in WORDS if options[key]}
    return {**found.entry, "title": found.entry["title"], **words, "reader": found.entry["reader"] | asked}


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the reader that the user gave."""
    asked = {column: options[f"column_{column}"] for column in COLUMNS if options[f"column_{column}"]}
    if options["matrix"]:
        asked["matrix"] = options["matrix"]
    for setting in options["settings"]:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--reader takes KEY=VALUE, not {setting!r}")
        asked[key] = value
    return asked


def _from_root(path: Path) -> str:
    """A path below the root of the repository as it is written in datasets.yaml, others whole."""
    whole, root = path.expanduser().absolute(), Path.cwd()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else whole.as_posix()


def _tell(name: str, adopted: Adopted, used: bool) -> None:
    from sclandmarks import paths
    from sclandmarks.genes import measured_landmarks

    matrix = adopted.matrix
    n_types = len(set(matrix.cells["cell_type"]) - {"Unknown"})
    n_landmarks = len(measured_landmarks(matrix.genes))
    click.echo(f"{name}: {matrix.n_cells:,} cells x {matrix.n_genes:,} genes, {n_types} cell types, "
               f"{n_landmarks} landmarks of L1000")  # fmt: skip
    where = getattr(adopted.dataset.source, "files", None) or {"counts": getattr(adopted.dataset.source, "url", "")}
    for what, place in (("counts", ", ".join(map(str, where.values()))), ("read into", paths.raw(name))):
        click.echo(f"  {what:12}{place}")
    click.echo(f"  {'entry in':12}{paths.DATASETS}")
    if used:
        click.echo(f"  {'named in':12}{paths.PARAMS}\n\nNext: `make repro`.")
    else:
        click.echo(f"\nNext: name it in {paths.PARAMS} (`datasets: [{name}]`; several are joined), then `make repro`.")
        click.echo(f"`make repro` removes {paths.raw(name)} as long as it is not named there.")


@contextmanager
def _quiet_errors() -> Iterator[None]:
    """`plain_errors`, and of the log only warnings: the command itself says what it found."""
    import logging

    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        logging.getLogger("sclandmarks").setLevel(logging.WARNING)
        yield


@contextmanager
def _named_failure(name: str) -> Iterator[None]:
    """Say of an error of the file system what it came from."""
    try:
        yield
    except OSError as error:
        error.add_note(f"while taking in {name}; nothing of it was left behind")
        raise


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a terminal that closes, undo what was begun, as an interrupt does."""
    import signal

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    heeded = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in heeded:  # nohup has SIGHUP ignored
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in heeded:
            signal.signal(one, signal.SIG_DFL)
