"""Stage ingest: files on this machine -> data/raw/<dataset>. What is there already, of the same entry, is kept."""

import logging
import shutil

from sclandmarks import paths
from sclandmarks.io.ingest import ingest
from sclandmarks.io.registry.datasets import choose, load_registry
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import is_current
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
            ingest(recipe, paths.raw(name), fetched)


if __name__ == "__main__":
    run_stage(main)
