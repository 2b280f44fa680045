"""The page: same bytes, nothing from outside, nothing unescaped, and sense for any set of fits."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.report.page import FIRST, build, data_uri, settings_text

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Collects tags and checks that they close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


def test_the_same_tables_give_the_same_bytes(make_tables, report):
    assert build(make_tables()) == report
    assert report.html and report.figures and set(report.plots) == {"comparison", "training"}


def test_neither_time_nor_host_nor_place_is_in_the_page(report):
    for text in (report.html, *report.figures.values()):
        assert "secret-host" not in text
        assert not re.search(r"20\d\d-\d\d-\d\d|<dc:date>|/home/|/tmp/|/work/", text)


def test_settings_that_decide_no_number_are_left_out(make_tables):
    params = make_tables().params
    assert "threads" not in settings_text(params) and "tracking" not in settings_text(params)
    assert "n_landmarks: 30" in settings_text(params)


def test_nothing_is_loaded_from_elsewhere(report):
    page = Page(report.html)
    assert page.open == []
    for link in [*page.values("src"), *page.values("href"), *page.values("xlink:href")]:
        assert link.startswith(("#", "data:", "https://doi.org/"))
    assert not [tag for tag, _ in page.tags if tag in {"link", "iframe", "object", "embed"}]
    styles = re.findall(r"url\(([^)]*)\)|@import", report.html)
    assert all(style.startswith("#") for style in styles)


def test_ids_are_unique_and_links_inside_arrive(report):
    page = Page(report.html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inside = [link[1:] for link in [*page.values("href"), *page.values("xlink:href")] if link.startswith("#")]
    assert inside and set(inside) <= set(ids)


def test_headings_are_in_order_and_figures_have_a_text(report):
    page = Page(report.html)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")


def test_hostile_names_are_text(make_tables):
    evil = "<script>alert(1)</script>"
    tables = make_tables(types=(evil, "$\\frac$ & $x$", "_b\x00"), genes=(evil, '"><img src=x>'))
    report = build(tables)
    html = report.html
    assert evil not in html and "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "\x00" not in "".join(report.figures.values())
    assert len([tag for tag, _ in Page(html).tags if tag == "script"]) == 2  # the data of the genes, and the code


def test_the_file_of_a_panel_is_the_panel(make_tables):
    tables = make_tables(genes=('Ä,"1', "=1+1"))
    links = [link for link in Page(build(tables).html).values("href") if link.startswith("data:text/csv")]
    assert len(links) == len(tables.panels)
    for link, panel in zip(links, tables.panels.values(), strict=True):
        text = base64.b64decode(link.split(",")[1])
        assert pl.read_csv(io.BytesIO(text), schema=schema.PANEL.dtypes).equals(panel)


def test_a_data_uri_holds_any_text():
    assert base64.b64decode(data_uri("gene\nα\n").split(",")[1]).decode() == "gene\nα\n"


def test_the_first_genes_are_shown_in_order_of_rank(make_tables):
    tables = make_tables(fits=("group_lasso-ridge",))
    tables.panels["group_lasso"] = tables.panels["group_lasso"].reverse()
    html = build(tables).html
    assert "<li>g0</li><li>g1</li>" in html
    assert f"<li>g{FIRST - 1}</li><li>and 10 more</li>" in html


RUNS = {
    "no l1000": {"fits": ("group_lasso-network",)},
    "controls alone": {"fits": ("random-reduced_rank", "top_variance-mean")},
    "nothing trained": {"trained": False},
    "no common targets": {"common": False},
    "two data sets": {"datasets": ("one", "two")},
    "no cell types": {"types": ("Unknown",)},
    "some cells without type": {"types": ("alpha", "Unknown")},
    "many types": {"types": tuple(f"a cell type with a rather long name, number {i}" for i in range(40))},
}


@pytest.mark.parametrize("change", RUNS.values(), ids=RUNS)
def test_any_run_makes_a_whole_page(make_tables, change):
    page = Page(build(make_tables(**change)).html)
    assert page.open == []
    assert [attributes["id"] for tag, attributes in page.tags if tag == "h2"] == [
        "data", "study", "comparison", "types", "genes", "training", "overlap", "panels", "words", "again",
    ]  # fmt: skip


def test_every_data_set_has_its_figures(make_tables):
    figures = build(make_tables(datasets=("one", "two"))).figures
    for kind in ("library", "pca", "tsne", "types"):
        assert {f"{kind}-one", f"{kind}-two"} <= set(figures)


def test_without_training_there_are_no_curves(make_tables):
    report = build(make_tables(trained=False))
    assert not [name for name in report.figures if name.startswith(("training", "path"))]
    assert "Nothing in this run was trained" in report.html


def test_plots_are_tidy(report):
    plots = report.plots
    training = pl.read_csv(io.StringIO(plots["training"]))
    assert training.columns == ["name", "step", "validation_loss"]
    assert set(training["name"]) == {"l1000-network", "paper_f910"}
    explained = pl.read_csv(io.StringIO(plots["comparison"]))
    assert explained.columns == ["fit", "panel", "predictor", "explained", "low", "high"]
    assert (explained["low"] <= explained["high"]).all()
    assert explained["fit"].is_unique().all()
