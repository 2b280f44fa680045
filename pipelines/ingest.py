"""Stage ingest: files on this machine -> data/raw/<dataset>. What is there already, of the same entry, is kept."""

import logging
import shutil

from sclandmarks import paths
from sclandmarks.io.cohorts import make, write
from sclandmarks.io.fetched import Fetched
from sclandmarks.io.registry import choose, load_registry
from sclandmarks.io.sources import is_current, recorded
from sclandmarks.params import load_params
from sclandmarks.runtime.logs import run_stage

logger = logging.getLogger("ingest")


def main() -> None:
    recipes = choose(load_registry(), load_params().data.datasets)
    fetched = Fetched()
    for folder in paths.RAW.glob("*/"):
        if folder.name not in recipes:
            shutil.rmtree(folder)
    for name, recipe in recipes.items():
        if is_current(paths.raw(name), recipe, fetched):
            logger.info("%s is there already", name)
        else:
            made = make(recipe, fetched)
            with recorded(paths.raw(name), recipe, fetched):
                write(paths.raw(name), made)
            logger.info("%s: %d cells x %d genes", name, made.matrix.n_cells, made.matrix.n_genes)


if __name__ == "__main__":
    run_stage(main)
