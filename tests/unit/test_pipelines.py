"""dvc.yaml says what its stages read and write: nothing missing, nothing needless."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from sclandmarks import paths
from sclandmarks.params import Params

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "src"
RESOURCES = "src/sclandmarks/resources"
MOST_LINES = 40
BESIDE = ("studies/", "tuning/")  # folders of a dvc.yaml that `dvc repro` alone leaves out
SECTIONS = set(Params.model_fields)


class Stage(NamedTuple):
    """A stage of dvc.yaml with its templates filled in."""

    name: str
    cmd: str
    deps: list[str]
    params: list[str]
    outs: dict[str, bool]
    """Path -> whether DVC keeps it in its cache."""
    each: bool
    """Whether it is one of several of a foreach."""

    @property
    def script(self) -> str:
        """Path of what it runs."""
        return self.cmd.split()[2]


def read_stages() -> dict[str, Stage]:
    """All stages of all files by name; foreach over a section of params.yaml is unrolled as DVC does it."""
    settings = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    stages: dict[str, Stage] = {}
    entries = {
        f"{folder}{name}": entry
        for folder in ("", *BESIDE)
        for name, entry in yaml.safe_load((REPOSITORY / f"{folder}dvc.yaml").read_text())["stages"].items()
    }
    for name, entry in entries.items():
        if "foreach" in entry:
            for key, item in settings[entry["foreach"].strip("${}")].items():
                stages[f"{name}@{key}"] = to_stage(f"{name}@{key}", filled(entry["do"], key, item), each=True)
        else:
            stages[name] = to_stage(name, entry, each=False)
    return stages


def filled(value: Any, key: str, item: dict[str, str]) -> Any:
    """Replace ${key} and ${item.NAME}."""
    if isinstance(value, list):
        return [filled(one, key, item) for one in value]
    if isinstance(value, dict):
        return {filled(name, key, item): filled(one, key, item) for name, one in value.items()}
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{item\.(\w+)\}", lambda match: item[match[1]], value.replace("${key}", key))


def to_stage(name: str, entry: dict[str, Any], each: bool) -> Stage:
    outs: dict[str, bool] = {}
    for out in [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]:
        ((path, flags),) = out.items() if isinstance(out, dict) else ((out, {}),)
        outs[path] = flags.get("cache", True)
    return Stage(name, entry["cmd"], entry.get("deps", []), entry.get("params", []), outs, each)


STAGES = read_stages()
every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))


@cache
def tree(path: Path) -> ast.Module:
    """Syntax tree of a file, without what only type checkers read."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(module):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return module


def file_of(module: str) -> Path | None:
    """Source of a module of this package, None when there is no such module."""
    stem = SOURCES.joinpath(*module.split("."))
    return next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)


@cache
def imported(path: Path) -> frozenset[Path]:
    """Files of this package that a file imports itself, anywhere in it, with the __init__.py of their packages."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports are not followed"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    parents = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    return frozenset(file for name in parents if name.startswith("sclandmarks") and (file := file_of(name)))


def closure(script: str) -> set[Path]:
    """Files of this package that a script imports, at first or second hand."""
    found: set[Path] = set()
    new = set(imported(REPOSITORY / script))
    while new:
        found |= new
        new = {file for path in new for file in imported(path)} - found
    return found


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def holds(folder: str, path: str) -> bool:
    """Whether a declared path is `path` or a folder around it."""
    return path == folder or path.startswith(f"{folder}/")


def reads_resources(path: Path) -> bool:
    """Whether a module loads files that come with the package."""
    strings = (node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant))
    return any(isinstance(value, str) and value.startswith("sclandmarks.resources") for value in strings)


@every_stage
def test_the_script_is_there_and_short(stage: Stage) -> None:
    python, isolated, script, *key = stage.cmd.split()
    assert (python, isolated) == ("python", "-P")
    assert key == ([stage.name.partition("@")[2]] if stage.each else [])
    assert len((REPOSITORY / script).read_text().splitlines()) <= MOST_LINES
    assert script in stage.deps


def test_every_script_is_a_stage() -> None:
    scripts = {relative(path) for path in (REPOSITORY / "pipelines").glob("*.py")}
    assert scripts == {stage.script for stage in STAGES.values()}


@every_stage
def test_deps_cover_all_that_the_script_imports(stage: Stage) -> None:
    missing = {relative(path) for path in closure(stage.script)}
    assert not {path for path in missing if not any(holds(dep, path) for dep in stage.deps)}


@every_stage
def test_deps_name_resources_where_they_are_read_and_nothing_needless(stage: Stage) -> None:
    files = closure(stage.script)
    readers = {relative(path) for path in files if reads_resources(path)}
    assert (RESOURCES in stage.deps) == bool(readers), readers
    sources = [dep for dep in stage.deps if dep.startswith("src/") and dep != RESOURCES]
    assert not [dep for dep in sources if not any(holds(dep, relative(path)) for path in files)]
    assert len(set(stage.deps)) == len(stage.deps)


def test_readers_of_resources_are_recognised() -> None:
    assert reads_resources(SOURCES / "sclandmarks/genes.py")
    assert not reads_resources(SOURCES / "sclandmarks/matrix.py")


def chain(node: ast.AST) -> list[str] | None:
    """Names behind `params` or `load_params()` in an expression such as params.split.seed."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        if node.attr == "params" and names:
            return names
        names.insert(0, node.attr)
        node = node.value
    begins = isinstance(node, ast.Name) and node.id == "params"
    begins |= isinstance(node, ast.Call) and ast.unparse(node.func) == "load_params"
    return names if begins and names else None


def for_the_record(module: ast.Module) -> set[ast.AST]:
    """Nodes that feed only the record of runs: arguments of a tracker's run(), and what is assigned for them alone.

    The record never decides a result (tests/contract, tests/e2e), so a setting that only labels a run, such as the
    names of the data sets, need not rerun a stage: what such a setting changes reaches the stage as other inputs.
    """
    runs = [node for node in ast.walk(module) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".run")]
    inside = {part for run in runs for argument in (*run.args, *run.keywords) for part in ast.walk(argument)}
    loads = [node for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    labels = {node.id for node in loads if node in inside} - {node.id for node in loads if node not in inside}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            targets = {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            if targets <= labels:
                inside |= set(ast.walk(node))
    return inside


def settings_read(script: str) -> set[str]:
    """Dotted keys of params.yaml that decide what a script makes.

    `tracking` is left out, as it decides no result. `runtime` is not: a GPU or another number of threads changes the
    last digits, and those are in the hashes. A script that hands `params` on as a whole reads what the modules read
    that it imports; a page that prints all settings reads all but these two, `studies` and `tune`.
    """
    module = tree(REPOSITORY / script)
    skipped = for_the_record(module)
    whole = any(
        isinstance(argument, ast.Name) and argument.id == "params"
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        for argument in node.args
    )
    others = [tree(path) for path in closure(script)] if whole else []
    nodes = [node for node in ast.walk(module) if node not in skipped]
    nodes += [node for other in others for node in ast.walk(other)]
    inner = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    chains = [names for node in nodes if node not in inner and (names := chain(node))]
    keys = {".".join(names) for names in chains if names[0] in SECTIONS}
    if whole and ["model_dump"] in chains:
        keys |= SECTIONS - {"runtime", "studies", "tune"}
    return {key for key in keys if not key.startswith("tracking")}


@every_stage
def test_params_name_the_sections_that_are_read(stage: Stage) -> None:
    read = settings_read(stage.script)
    assert read or not stage.params

    def named(key: str) -> bool:
        """Whether a declared key is this one or holds it; an item of a foreach reads its own entry."""
        own = any(stage.each and one.startswith(f"{key}.") for one in stage.params)
        return own or any(key == one or key.startswith(f"{one}.") for one in stage.params)

    assert not {key for key in read if not named(key)}
    sections = {key.partition(".")[0] for key in read}
    assert {one.partition(".")[0] for one in stage.params} <= sections, "a needless one reruns the stage for nothing"


@every_stage
def test_params_exist(stage: Stage) -> None:
    for key in stage.params:
        value = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        for name in key.split("."):
            assert name in value, key
            value = value[name]


@every_stage
def test_neither_record_nor_state_decides(stage: Stage) -> None:
    assert not [key for key in stage.params if holds("tracking", key.replace(".", "/"))]
    assert not [path for path in (*stage.deps, *stage.outs) if holds("state", path) or holds(path, "state")]


def pattern(node: ast.AST) -> str | None:
    """Path of an expression such as paths.TABLES / f"{name}.json", * for what is not known; None for any other."""
    match node:
        case ast.Attribute(ast.Name("paths"), name) if isinstance(getattr(paths, name), Path):
            return getattr(paths, name).as_posix()
        case ast.Call(ast.Attribute(ast.Name("paths"), name)):
            return getattr(paths, name)("*").as_posix()
        case ast.BinOp(left, ast.Div(), right) if (start := pattern(left)) is not None:
            return f"{start}/{ast.literal_eval(right) if isinstance(right, ast.Constant) else text(right)}"
    return None


def text(node: ast.AST) -> str:
    """Text of an f-string, * for what is not known."""
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts) or "*"


def used_paths(node: ast.AST) -> Iterator[str]:
    """Paths of `sclandmarks.paths` that the code names, each as long as it is written out."""
    found = pattern(node)
    if found is not None:
        yield found
    for child in ast.iter_child_nodes(node):
        if found is None or not (isinstance(node, ast.BinOp) and child is node.left):
            yield from used_paths(child)


@every_stage
def test_every_path_that_is_used_is_a_dep_or_an_out(stage: Stage) -> None:
    files = [REPOSITORY / stage.script, *closure(stage.script)]
    used = {path for file in files if file.name != "paths.py" for path in used_paths(tree(file))}
    # state/ is no input and no result, and DVC knows params.yaml by its keys
    used = {path for path in used if not holds("state", path) and path != paths.PARAMS.as_posix()}
    declared = [*stage.deps, *stage.outs]
    assert not {
        path for path in used if not any(fnmatch(one, path) or holds(one, path) or holds(path, one) for one in declared)
    }


@every_stage
def test_every_input_is_in_git_or_made_by_a_stage(stage: Stage) -> None:
    made = [out for other in STAGES.values() if other.name != stage.name for out in other.outs]
    lacking = [dep for dep in stage.deps if not any(holds(out, dep) or holds(dep, out) for out in made)]
    assert not [dep for dep in lacking if not (REPOSITORY / dep).exists() or ignored([dep])]


def test_no_two_outs_overlap() -> None:
    outs = [out for stage in STAGES.values() for out in stage.outs]
    assert not [(one, two) for i, one in enumerate(outs) for j, two in enumerate(outs) if i != j and holds(one, two)]


def ignored(names: list[str]) -> set[str]:
    """Those of these paths that git ignores."""
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(
        command, cwd=REPOSITORY, input="\n".join(names), capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode not in (0, 1):
        pytest.skip(f"not a git repository: {done.stderr}")
    return set(done.stdout.splitlines())


def test_git_ignores_all_outs_but_those_it_keeps_itself() -> None:
    outs = {out: cached for stage in STAGES.values() for out, cached in stage.outs.items()}
    beside = {out for name, stage in STAGES.items() if name.startswith(BESIDE) for out in stage.outs}
    assert not any(outs[out] for out in beside), "dvc pull would fail where these have not run"
    assert ignored(list(outs)) == {out for out, cached in outs.items() if cached} | beside
    assert ignored(["state/mlflow.db"]) == {"state/mlflow.db"}


def test_stages_have_an_order() -> None:
    needs = {
        stage.name: {
            other.name
            for other in STAGES.values()
            if any(holds(dep, out) or holds(out, dep) for dep in stage.deps for out in other.outs)
        }
        for stage in STAGES.values()
    }
    order = list(TopologicalSorter(needs).static_order())  # raises CycleError
    places = [order.index(name) for name in ("fetch", "ingest", "split", "prepare", "targets", "compare")]
    assert places == sorted(places)
    assert order[0] == "fetch"


def test_plots_are_made_by_stages() -> None:
    """Files that the plots of dvc.yaml name lie in outs."""
    content = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    outs = [out for stage in STAGES.values() for out in stage.outs]
    named = re.findall(r"[\w./-]+/[\w./-]+", yaml.safe_dump(content.get("plots", [])))
    assert not [path for path in named if not any(holds(out, path) for out in outs)]
