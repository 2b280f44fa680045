"""Ours beside the tools people would otherwise use; docs/peers.md has the table and the commands.

python benchmarks/peers.py setup    a side environment with the peers; they never enter the lock
python benchmarks/peers.py data     data sets by the stages of the pipeline
python benchmarks/peers.py run      every selection in a process of its own; what is there is kept
python benchmarks/peers.py summary  tables and figure from what has run
python benchmarks/peers.py          all of them
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from peers.launch import Setup, is_done, over_below, result_path, select
from peers.register import OURS, PEERS, ranks

HERE = Path(__file__).resolve().parent
SIZES = (50, 100, 300, 910)
DATASETS = ("pancreas", "lung", "marrow")
STEPS = ("all", "setup", "data", "run", "predict", "summary")


def parse() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", nargs="?", default="all", choices=STEPS)
    parser.add_argument("--work", type=Path, required=True, help="folder outside the repository")
    parser.add_argument("--python", type=Path, help="interpreter of the peers (WORK/env/bin/python)")
    parser.add_argument("--datasets", nargs="+", default=DATASETS, help="of datasets.yaml; pancreas+lung: joined")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--only", nargs="+", choices=(*OURS, *PEERS), default=(*OURS, *PEERS))
    parser.add_argument("--predictors", nargs="+", help="of benchmarks/peers/predictors.py; all of them unless given")
    parser.add_argument("--limit", type=float, default=900.0, help="processor seconds of one selection")
    return parser.parse_args()


def setup(python: Path) -> None:
    """Make the side environment; three packages ask for the retired name sklearn or another TensorFlow."""
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    pip = [str(python), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "-r", str(HERE / "peers-requirements.txt")], check=True)
    subprocess.run([*pip, "--no-deps", "-r", str(HERE / "peers-requirements-bare.txt")], check=True)


def run(arguments: argparse.Namespace, python: Path) -> None:
    """Every selection that has no result."""
    how = Setup(python, arguments.limit)
    for dataset in arguments.datasets:
        folder = arguments.work / dataset
        for size in arguments.sizes:
            for name in arguments.only:
                at = max(SIZES) if ranks(name) else size
                if is_done(result_path(folder, name, at), name):
                    continue
                if smaller := over_below(folder, name, at):
                    print(f"{dataset} {name} {at}: not tried, over the limit at {smaller} genes", flush=True)
                    continue
                found = select(how, folder, name, at)
                said = (
                    f"{found['seconds']:.1f} s, {found['cpu']:.1f} CPU s" if found["status"] == "ok" else found["why"]
                )
                print(f"{dataset} {name} {at}: {found['status']} {said} {found['peak_mib']:.0f} MiB", flush=True)


def main() -> None:
    """Do the steps asked for."""
    arguments = parse()
    arguments.work = arguments.work.resolve()
    python = (arguments.python or arguments.work / "env" / "bin" / "python").absolute()
    wanted = STEPS[1:] if arguments.step == "all" else (arguments.step,)
    if "setup" in wanted and not python.exists():
        setup(python)
    if wanted == ("setup",):
        return
    from peers.data import make_folder, refresh

    for dataset in arguments.datasets:
        (make_folder if "data" in wanted else refresh)(arguments.work, dataset)
    if "run" in wanted:
        run(arguments, python)
    if "predict" in wanted:
        from peers import levels, predictors
        from peers.judge import open_arena

        for dataset in arguments.datasets:
            arena = open_arena(arguments.work / dataset)
            predictors.run_all(Setup(python, arguments.limit), arena, arguments.predictors)
            if levels.PREDICTOR in (arguments.predictors or [levels.PREDICTOR]):
                levels.run_all(arena)
    if "summary" in wanted:
        from peers.summary import summarise

        summarise(arguments.work, arguments.datasets, arguments.sizes)


if __name__ == "__main__":
    main()
