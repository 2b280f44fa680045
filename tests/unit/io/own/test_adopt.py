"""A file made a data set: what is written, and that a failure leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from sclandmarks import paths
from sclandmarks.errors import DataError, ParamsError, SclandmarksError, SourceError
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.own import adopt as module
from sclandmarks.io.own.adopt import Wish, adopt, forgotten_on_failure, only_one, web_source
from sclandmarks.io.own.copies import aside, copy_files, put_in_place
from sclandmarks.io.registry.datasets import choose, load_registry
from sclandmarks.io.sources.archives import add_pin, read_pins
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import is_current as is_current_recipe
from sclandmarks.io.sources.store import folder_of

REPOSITORY = Path(__file__).parents[4]
WORDS = {"title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l"}
Tree = dict[str, bytes]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the repository's settings, and a table of counts with labels elsewhere."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    for name in (paths.PARAMS, paths.DATASETS):
        name.write_text((REPOSITORY / name).read_text())
    (tmp_path / "c.csv").write_text("gene,c1,c2\nGAPDH,1,2\nCDK4,0,5\n")
    (tmp_path / "l.csv").write_text("cell,type\nc1,T\nc2,B\n")
    return root


def wish(tmp_path: Path, name: str = "mine", **changes: Any) -> Wish:
    files = {"counts": tmp_path / "c.csv", "labels": tmp_path / "l.csv"}
    entry = WORDS | {
        "source": {"kind": "file", "path": str(files["counts"]), "labels": str(files["labels"])},
        "reader": {"format": "table", "orientation": "genes_by_cells"},
    }
    return Wish(**{"name": name, "entry": entry, "files": files} | changes)  # type: ignore[arg-type]


def is_current(name: str) -> bool:
    return is_current_recipe(paths.raw(name), choose(load_registry(), [name])[name], Fetched())


def tree(root: Path) -> Tree:
    """Every file but locks, and every folder, by its path."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b"/"
        for path in sorted(root.rglob("*"))
        if path.suffix != ".lock" and "state" not in path.parts
    }


def test_all_of_it_is_done(tmp_path: Path, project: Path) -> None:
    before = paths.DATASETS.read_text()
    adopted = adopt(wish(tmp_path))
    assert adopted.matrix.X_CG.toarray().tolist() == [[1, 0], [2, 5]]
    dataset = load_registry()["mine"]
    assert dataset == adopted.dataset
    assert paths.DATASETS.read_text().startswith(before)
    assert dataset.source.files == {"counts": Path("own/mine/c.csv"), "labels": Path("own/mine/l.csv")}
    assert Path("own/mine/c.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()
    assert read_matrix(paths.raw("mine"), "count").cells["cell_type"].to_list() == ["T", "B"]
    assert is_current("mine")
    assert not list(project.rglob("*.part"))
    assert (tmp_path / "c.csv").is_file()


def test_a_linked_file_takes_no_room_and_one_in_place_is_not_touched(tmp_path: Path) -> None:
    adopt(wish(tmp_path, how="link"))
    assert Path("own/mine/c.csv").samefile(tmp_path / "c.csv")
    adopt(wish(tmp_path, "there", how="in-place"))
    assert load_registry()["there"].source.files["counts"] == tmp_path / "c.csv"
    assert not Path("own/there").exists()


def test_the_choice_in_params_is_set_when_asked_for(tmp_path: Path) -> None:
    adopt(wish(tmp_path))
    assert paths.PARAMS.read_text() == (REPOSITORY / paths.PARAMS).read_text()
    adopt(wish(tmp_path, "used", use=True))
    assert yaml.safe_load(paths.PARAMS.read_text())["data"]["datasets"] == ["used"]


def bad_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    (tmp_path / "c.csv").write_text("gene,c1,c2\nGAPDH,1,2.5\nCDK4,0,5\n")
    return wish(tmp_path)


def bad_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    (tmp_path / "l.csv").write_text("cell,type\nc1,T\n")
    return wish(tmp_path)


def no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    (tmp_path / "l.csv").unlink()
    return wish(tmp_path)


def bad_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    return wish(tmp_path, entry=wish(tmp_path).entry | {"reader": {"format": "table", "orientation": "sideways"}})


def bad_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    return wish(tmp_path, "../mine")


def broken_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    with paths.DATASETS.open("a") as file:
        file.write("\nother: {title: t}\n")
    return wish(tmp_path)


def params_without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    paths.PARAMS.write_text("split: {}\n")
    return wish(tmp_path, use=True)


def broken_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    paths.PARAMS.write_text(paths.PARAMS.read_text() + "\nunknown: 1\n")
    return wish(tmp_path, use=True)


def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    return wish(tmp_path)


def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    def stop(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "is_current", stop)
    return wish(tmp_path)


FAULTS: dict[Callable[[Path, pytest.MonkeyPatch], Wish], type[BaseException]] = {
    bad_counts: DataError, bad_labels: DataError, no_file: SourceError, bad_entry: ParamsError, bad_name: ParamsError,
    broken_registry: ParamsError, params_without_data: ParamsError, broken_params: ParamsError, full_disk: SourceError,
    interrupted: KeyboardInterrupt,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("replace", [False, True])
def test_a_failure_leaves_nothing_and_what_was_there_before_comes_back(
    fault: Callable[..., Wish], replace: bool, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if replace:
        adopt(wish(tmp_path))
    else:
        for name in ("own", "data/raw"):
            (project / name).mkdir(parents=True)
    made = fault(tmp_path, monkeypatch)
    before = tree(project)
    with pytest.raises(FAULTS[fault]):
        adopt(Wish(**vars(made) | {"replace": replace}))
    assert tree(project) == before


def test_a_name_or_folder_that_is_there_is_refused_and_replaced_when_asked(tmp_path: Path, project: Path) -> None:
    adopt(wish(tmp_path))
    (tmp_path / "c.csv").write_text("gene,c1,c2\nGAPDH,7,0\nCDK4,0,5\n")
    with pytest.raises(ParamsError, match=r"--replace for mine; got one with an entry"):
        adopt(wish(tmp_path))
    adopted = adopt(wish(tmp_path, replace=True))
    assert adopted.matrix.X_CG.toarray().tolist() == [[7, 0], [0, 5]]
    assert is_current("mine")
    assert len(list(Path("own").iterdir())) == 1
    assert not list(project.rglob("*.part"))
    Path("own/hand").mkdir()
    with pytest.raises(ParamsError, match=r"no folder own/hand.*--replace"):
        adopt(wish(tmp_path, "hand"))


def test_one_process_at_a_time_takes_a_name(tmp_path: Path) -> None:
    (paths.STATE / "ingest").mkdir(parents=True)
    with FileLock(paths.STATE / "ingest" / "mine.lock"), pytest.raises(SourceError, match="no other ingest of mine"):
        adopt(wish(tmp_path))
    with only_one("mine"):
        adopt(wish(tmp_path, "other"))


DIES = """
import os, signal, sys
from pathlib import Path
from sclandmarks.io.own import adopt
adopt.ingest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
entry = {"source": {}, "reader": {"format": "table", "orientation": "genes_by_cells"}}
words = {"title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l"}
adopt.adopt(adopt.Wish("mine", words | entry, {"counts": Path(sys.argv[1])}))
"""


def killed(tmp_path: Path) -> None:
    """Take the table in, and die once it is copied, before it is read."""
    done = subprocess.run([sys.executable, "-c", DIES, tmp_path / "c.csv"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Path("own/mine/c.csv").is_file()


def test_the_same_command_goes_on_after_a_kill(tmp_path: Path, project: Path) -> None:
    """Nobody is asked for --replace, nothing of the killed one is left, and a folder of the user's is safe."""
    killed(tmp_path)
    adopt(wish(tmp_path))
    assert is_current("mine")
    assert {path.name for path in Path("own/mine").iterdir()} == {"c.csv", "l.csv"}
    left = [path.name for path in project.rglob("*") if path.suffix in (".part", ".begun")]
    assert not left


def test_a_folder_made_by_hand_after_a_kill_is_refused(tmp_path: Path) -> None:
    """Its place was noted, but these are other files."""
    killed(tmp_path)
    Path("own/mine/c.csv").write_text("mine\n")
    with pytest.raises(ParamsError, match=r"no folder own/mine.*--replace"):
        adopt(wish(tmp_path))


def test_what_was_fetched_for_nothing_is_forgotten(tmp_path: Path) -> None:
    lock, downloads = tmp_path / "lock.json", tmp_path / "downloads"
    downloads.mkdir()
    add_pin(lock, "http://a/old", "0" * 64)
    with pytest.raises(DataError), forgotten_on_failure(["http://a/old", "http://a/new"], downloads, lock):
        add_pin(lock, "http://a/new", "1" * 64)
        folder_of(downloads, "http://a/new").mkdir(parents=True)
        raise DataError("a", "b", "c")
    assert read_pins(lock) == {"http://a/old": "0" * 64}
    assert not folder_of(downloads, "http://a/new").exists()


def test_a_lock_without_addresses_goes(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    with pytest.raises(KeyboardInterrupt), forgotten_on_failure(["http://a/new"], tmp_path, lock):
        add_pin(lock, "http://a/new", "1" * 64)
        raise KeyboardInterrupt
    assert not lock.exists()


def test_sources_on_the_web() -> None:
    assert web_source({"counts": "http://a/c.h5"}).addresses == {"counts": "http://a/c.h5"}
    assert set(web_source({"counts": "http://a/c", "labels": "http://a/l"}).addresses) == {"counts", "labels"}
    with pytest.raises(ParamsError, match="http"):
        web_source({"counts": "http://a/c", "labels": "/here"})


def test_folders_and_siblings_are_copied_whole(tmp_path: Path) -> None:
    folder, out = tmp_path / "run", tmp_path / "out"
    (folder / "a.zarr" / "X").mkdir(parents=True)
    out.mkdir()
    for name in ("matrix.mtx", "barcodes.tsv", "genes.tsv", "web_summary.html", "a.zarr/X/0", "a.zarr/.zgroup"):
        (folder / name).write_text(name)
    assert copy_files({"counts": folder}, out, "tenx_mtx", link=False) == {"counts": "."}
    assert {path.name for path in out.iterdir()} == {"matrix.mtx", "barcodes.tsv", "genes.tsv"}
    given = {"counts": folder / "matrix.mtx", "barcodes": tmp_path / "l.csv"}
    (out / "two").mkdir()
    assert copy_files(given, out / "two", "tenx_mtx", link=False) == {"counts": "matrix.mtx", "barcodes": "l.csv"}
    assert {path.name for path in (out / "two").iterdir()} == {"matrix.mtx", "l.csv", "genes.tsv"}
    assert copy_files({"counts": folder / "a.zarr"}, out, "zarr", link=True) == {"counts": "a.zarr"}
    assert (out / "a.zarr" / "X" / "0").samefile(folder / "a.zarr" / "X" / "0")


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for name in ("one", "two", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.csv").write_text(name)
    (tmp_path / "out" / "x.csv").unlink()
    files = {"counts": tmp_path / "one" / "x.csv", "labels": tmp_path / "two" / "x.csv"}
    names = copy_files(files, tmp_path / "out", "table", link=False)
    assert {role: (tmp_path / "out" / name).read_text() for role, name in names.items()} == {
        "counts": "one", "labels": "two",
    }  # fmt: skip


def test_a_link_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(SourceError, match=r"hard link to .*c\.csv; got Invalid cross-device link.*--in-place"):
        adopt(wish(tmp_path, how="link"))


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".mine.abc.part").mkdir()
    (tmp_path / ".other.abc.part").mkdir()
    with aside(tmp_path / "mine") as folder:
        assert folder.parent == tmp_path
        assert not (tmp_path / ".mine.abc.part").exists()
    assert not folder.exists()
    assert (tmp_path / ".other.abc.part").exists()


def test_a_folder_put_in_place_comes_back_by_undo_and_goes_by_done(tmp_path: Path) -> None:
    for name, content in (("new", "n"), ("target", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(content)
    with ExitStack() as undo:
        put_in_place(tmp_path / "new", tmp_path / "target", undo, ExitStack())
        assert (tmp_path / "target" / "x").read_text() == "n"
    assert (tmp_path / "target" / "x").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"project", "target"}


def test_every_fault_is_one_of_the_project_s_own_but_the_interrupt() -> None:
    assert {fault for fault in FAULTS.values() if not issubclass(fault, SclandmarksError)} == {KeyboardInterrupt}
