"""Stage targets: all panels -> the genes that are in none of them."""

import polars as pl

from sclandmarks import paths, schema
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.params import load_params
from sclandmarks.prep.targets import common_targets
from sclandmarks.runtime.logs import run_stage


def main() -> None:
    params = load_params()
    genes = read_table(paths.EXPRESSION / "genes.parquet", schema.GENES)
    compared = {fit.panel for fit in params.fits.values()}
    panels = pl.concat([read_table(paths.panel(name), schema.PANEL) for name in sorted(compared)])
    write_table(paths.TARGETS, common_targets(genes, panels), schema.TARGETS)


if __name__ == "__main__":
    run_stage(main)
