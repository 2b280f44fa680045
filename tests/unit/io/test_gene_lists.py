"""Lists of genes of the user."""

from __future__ import annotations

import polars as pl
import pytest

from sclandmarks.errors import ParamsError
from sclandmarks.io.gene_lists import read_lists
from sclandmarks.params import EnsemblePanel, GuidedPanel, TopVariancePanel, Wishes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("INS\n\n# none of this\nGCG  # alpha\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("symbol,weight\nSST,2\nINS,0.5\n", encoding="utf-8")
    (tmp_path / "c.tsv").write_text("name\tother\nPPY\t1\n", encoding="utf-8")
    (tmp_path / "s.gmt").write_text("A\thttp\tINS\tGCG\nB\t\tSST\t\n", encoding="utf-8")
    (tmp_path / "bad.csv").write_text("gene,weight\nSST,-2\n", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("# nothing\n", encoding="utf-8")
    (tmp_path / "x.doc").write_text("INS", encoding="utf-8")
    pl.DataFrame({"rank": [1], "gene_id": ["ENSG1"]}).write_parquet(tmp_path / "p.parquet")
    return tmp_path


def test_every_kind_is_read(folder) -> None:
    wishes = Wishes(keep=["@a.txt", "INS"], avoid=["@c.tsv", "@p.parquet"], gene_weights={"@b.csv": 2, "@s.gmt#B": 3})
    assert read_lists(wishes, folder) == {
        "@a.txt": {"INS": 1, "GCG": 1},
        "@b.csv": {"SST": 2, "INS": 0.5},
        "@c.tsv": {"PPY": 1},
        "@p.parquet": {"ENSG1": 1},
        "@s.gmt#B": {"SST": 1},
    }


def test_nested_settings_are_searched_and_others_name_none(folder) -> None:
    guided = GuidedPanel(selector="guided", ridge=0.1, start=["@a.txt"])
    nested = EnsemblePanel(selector="ensemble", seed=0, n_resamples=2, fraction=0.5, base=guided.model_dump())
    assert set(read_lists(nested, folder)) == {"@a.txt"}
    assert read_lists(TopVariancePanel(selector="top_variance"), folder) == {}


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("@none.txt", "files there: a.txt"),
        ("@../a.txt", "expected a file"),
        ("@s.gmt#C", "no set C.*first of 2: A, B"),
        ("@s.gmt", "no set named"),
        ("@bad.csv", "a weight that is no number"),
        ("@empty.txt", "genes in .*none"),
        ("@x.doc", "a file of kind .doc"),
    ],
)
def test_faults_name_the_file(folder, token: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        read_lists(Wishes(keep=[token]), folder)
