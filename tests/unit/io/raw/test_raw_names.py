"""Names of genes: prefixes of genomes, organisms, orthologs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.names import GeneNames, named_genes, of_one_genome
from sclandmarks.io.raw.organism import human_genes, read_orthologs, recognise

ORIGIN = Origin("mine", "gut", organism="Homo sapiens")


def names(*symbols: str) -> GeneNames:
    return of_one_genome(named_genes(symbols), None)[0]


def test_an_id_is_found_wherever_it_stands() -> None:
    genes = named_genes(
        ["a", "ENSG00000000003.1", "c", "d"], ["A", None, "ENSG00000000005", "D"], ["ENSG00000000001", "", "", ""]
    )
    found, places = of_one_genome(genes, None)
    assert found.ensembl == ["ENSG00000000001", "ENSG00000000003.1", "ENSG00000000005", None]
    assert found.symbols == ["A", "ENSG00000000003.1", "ENSG00000000005", "D"]
    assert places is None


def test_a_name_of_symbol_and_id_is_both() -> None:
    genes = named_genes(["A-1_B_ENSG00000000003.14", "x"])
    assert genes.symbols == ["A-1_B", "x"]
    assert genes.ensembl == ["ENSG00000000003.14", None]


def test_the_prefix_of_the_only_genome_is_taken_off() -> None:
    found, places = of_one_genome(named_genes(["hg19_CDK4", "hg19_ENSG00000000003.2"]), None)
    assert (found.symbols, found.ensembl, places) == (["CDK4", "ENSG00000000003.2"], [None, "ENSG00000000003.2"], None)
    assert found.originals == ["hg19_CDK4", "hg19_ENSG00000000003.2"]


def test_a_prefix_of_ones_own_is_taken_off_when_it_is_named() -> None:
    found, places = of_one_genome(named_genes(["mine_A", "mine_B", "mm10_C"]), "mine")
    assert found.symbols == ["A", "B"]
    assert places is not None
    assert places.tolist() == [0, 1]


def test_ids_of_two_organisms_need_a_choice() -> None:
    genes = named_genes(["ENSG00000000003", "ENSMUSG00000000001", "spike"])
    with pytest.raises(DataError, match=r"1 of Homo sapiens, 1 of Mus musculus.*`reader.genome`"):
        of_one_genome(genes, None)
    found = of_one_genome(genes, "Mus musculus")[0]
    assert found.originals == ["ENSMUSG00000000001"]
    with pytest.raises(DataError, match="genes of hg19; got 1 of GRCh38"):
        of_one_genome(named_genes(["GRCh38_A"]), "hg19")


@pytest.mark.parametrize(
    ("symbols", "organism"),
    [
        (["Gapdh", "Actb", "mt-Co1", "Cdk4", "Nr3c1"], "Mus musculus"),
        (["ENSMUSG00000000001", "ENSMUSG00000000003", "GFP"], "Mus musculus"),
        (["ENSG00000000003", "x"], "Homo sapiens"),
        (["ENSDARG00000000001"], "ENSDARG"),
        (["CDK4", "AARS1", "NR3C1", "C1orf112"], None),
        (["Gene1", "Gene2", "Zebra", "Mine", "Yours"], None),
        (["Cdk4"], None),
        (["Cdk4", "Aars1", *[f"GENE{i}" for i in range(20)]], None),
        ([], None),
    ],
)
def test_recognise(symbols: list[str], organism: str | None) -> None:
    assert recognise(names(*symbols))[0] == organism


def test_symbols_of_two_organisms_are_refused() -> None:
    with pytest.raises(DataError, match=r"3 human symbols such as CDK4 and 3 of mouse such as Cdk4"):
        recognise(names("CDK4", "AARS1", "NR3C1", "Cdk4", "Aars1", "Nr3c1"))


@pytest.mark.parametrize("said", ["Homo sapiens", "human", "Danio rerio", ""])
def test_symbols_in_capitals_are_never_refused(said: str) -> None:
    genes = names("CDK4", "AARS1", "NR3C1")
    assert human_genes(genes, None, Origin("mine", "gut", organism=said)) == (genes, None)


def test_orthologs_that_are_not_one_to_one_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "human,mouse\nAARS,Aars1\nA,Two\nB,Two\nC,One\nC,Other\nENSG00000000003.2,ENSMUSG00000000001.4\n,Nothing\n"
    )
    with caplog.at_level(logging.INFO):
        assert read_orthologs(path) == {"Aars1": "AARS1", "ENSMUSG00000000001": "ENSG00000000003"}
    assert "2 of 6 pairs of orthologs are one to one" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\nAars1,AARS1\n", "one column mouse; got 0 of a, b"),
        ("mouse,human\nA,B\nA,C\n", "2 pairs of other kinds"),
        ("mouse,human\nA,B\n", "orthologs of these genes"),
        ("", "a header and rows"),
    ],
)
def test_orthologs_that_do_not_serve_are_refused_with_their_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"{message}(.|\n)*x\.csv"):
        human_genes(names("Cdk4", "Aars1", "Nr3c1"), path, ORIGIN)
