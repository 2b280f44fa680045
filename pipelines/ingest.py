"""Stage ingest: sources -> data/raw/<dataset>. What is there already, of the same entry, is kept."""

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from sclandmarks import paths
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.raw import READERS
from sclandmarks.io.registry import Dataset, choose, load_registry
from sclandmarks.io.sources import fetch, is_current, recorded
from sclandmarks.params import load_params
from sclandmarks.runtime.logs import run_stage

logger = logging.getLogger("ingest")


def main() -> None:
    datasets = choose(load_registry(), load_params().data.datasets)
    for folder in paths.RAW.glob("*/"):
        if folder.name not in datasets:
            shutil.rmtree(folder)
    for name, dataset in datasets.items():
        if is_current(paths.raw(name), dataset):
            logger.info("%s is there already", name)
        else:
            ingest(name, dataset, paths.raw(name))


def ingest(name: str, dataset: Dataset, folder: Path) -> None:
    with TemporaryDirectory(prefix="ingest-") as temporary:
        matrix = READERS[dataset.reader.format](fetch(dataset, Path(temporary)), dataset.reader, dataset.origin(name))
    with recorded(folder, dataset):
        write_matrix(folder, matrix)
    logger.info("%s: %d cells x %d genes", name, matrix.n_cells, matrix.n_genes)


if __name__ == "__main__":
    run_stage(main)
