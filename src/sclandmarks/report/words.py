"""What the tables say, in sentences. Nothing is claimed that the table of verdicts does not say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
from markupsafe import Markup, escape

from sclandmarks.report.inputs import COMMON, NETWORKS, Result, Score, Tables, ranked
from sclandmarks.report.style import signed
from sclandmarks.report.tables import percent, points

_BOLD = Markup("<strong>{}</strong>")
CONTROLS = {
    "library_size": "A control that knows how many reads a cell has, and nothing else: what it captures is depth.",
    "cell_type_mean": "A control that is told the type of each cell: the mean of that type over training cells.",
}
PANELS = {
    "l1000": "The landmark genes of L1000 that were measured in these data.",
    "random": "Genes drawn at random: a control.",
    "top_variance": "The genes that vary most among training cells: a control.",
    "paper_f910": "As the study chose F910: a network predicts all genes from all genes, with the group-lasso penalty "
    "in its loss; the genes with the most extreme first-layer weights are taken.",
    "group_lasso": "Ours: all genes are predicted from few, under a penalty that lets a gene in only where it pays; "
    "the penalty falls until enough genes are in.",
    "greedy": "Ours: gene after gene, the one that explains most of what is left of the variance of all others.",
    "guided": "Ours: from a list of genes, the best are taken, others added and exchanged; each says why it is in.",
    "l1000_kmeans": "As L1000 chose: genes are clustered, one of each cluster is taken, what these explain is removed.",
    "hvg": "The genes that vary more among training cells than their mean lets expect.",
    "pca_loadings": "The genes of largest loadings on the leading principal axes of the training cells.",
    "ensemble": "The genes that another selector chooses most often from resampled training cells.",
}
_THAN = {"better": "better than", "worse": "worse than", "no difference shown": "not shown to differ from"}


def answer(tables: Tables, found: list[Result]) -> Markup:
    """One paragraph: the best fit, networks against the reference, F910 against L1000, and the control."""
    reference = next((result for result in found if result.fit == tables.params.compare.reference), None)
    sentences = [
        *_best(tables, found),
        *(_networks(reference, found) if reference else ()),
        *(_panels(reference, found) if reference else ()),
        *_control(found),
    ]
    return Markup(" ").join(sentences)


def interval(score: Score, confidence: float) -> str:
    """Interval of a fraction, in words."""
    if score.low is None or score.high is None:
        return "no interval"
    return f"{confidence * 100:g} % interval {percent(score.low)[:-2]} to {percent(score.high)[:-2]}"


def _best(tables: Tables, found: list[Result]) -> Iterator[Markup]:
    order = ranked(found)
    if not order:
        yield Markup("No fit of this run can be compared: there are no genes that no panel measures.")
        return
    best, score = order[0], order[0].score(COMMON, "explained")
    sure = score.low is not None and score.low > 0
    yield Markup(
        "Best in this run: measure the {n} genes of {panel} and infer the others by {predictor}. "
        "That explains {value} ({interval}) of what remains when every gene is predicted by its mean, on the "
        "{targets} genes that no panel measures{cells}.{captured}"
    ).format(
        n=f"{best.n_landmarks:,}", panel=_BOLD.format(best.panel), predictor=_BOLD.format(best.predictor),
        value=_BOLD.format(percent(score.value)), interval=interval(score, tables.params.compare.confidence),
        targets=f"{best.n_targets[COMMON]:,}", cells=_cells(tables, best),
        captured=_captured(tables, best),
    )  # fmt: skip
    if not sure:
        yield Markup("Its interval reaches zero: no fit is shown to do better than the mean.")
    near = [other for other in order[1:] if (other.score(COMMON, "explained").high or -1) >= (score.low or 0)]
    if near:
        yield Markup("The intervals of {} overlap with it, so the first place is not settled.").format(
            "one other fit" if len(near) == 1 else f"{len(near)} other fits"
        )


def _captured(tables: Tables, best: Result) -> Markup:
    """What that is of what can be known at all."""
    score = best.captured
    if score.value is None:
        return Markup("")
    return Markup(
        " Much of the rest is the noise of counting few molecules: of what can be known it captures {} ({})."
    ).format(_BOLD.format(percent(score.value)), interval(score, tables.params.compare.confidence))


def _cells(tables: Tables, best: Result) -> str:
    cells = sum(n for fit, n in tables.per_type.select("fit", "n_cells").iter_rows() if fit == best.fit)
    return f", in {cells:,} test cells from which nothing was learned" if cells else ""


def _networks(reference: Result, found: list[Result]) -> Iterator[Markup]:
    """Predictors of the reference's panel against the reference, where one of the two is a network."""
    rivals = [result for result in found if result.panel == reference.panel and result.difference]
    networks = [rival for rival in rivals if rival.method in NETWORKS]
    if reference.method in NETWORKS or not networks:
        return
    claims = [Markup("{} is {}").format(rival.predictor, claim(rival, reference.predictor)) for rival in networks]
    yield Markup("Is a network better than {}? With the genes of {}, {}.").format(
        reference.predictor, reference.panel, _listed(claims)
    )


def claim(result: Result, other: str) -> Markup:
    """Verdict of a fit against the reference, which is called `other`, with the difference in brackets."""
    found = result.difference
    if found is None:
        return Markup("not compared with {}").format(other)
    words, than = _THAN.get(found.verdict, f"{found.verdict}:").rsplit(" ", 1)
    size = f"{points(found)} points, {signed(f'{100 * found.low:.2f}')} to {signed(f'{100 * found.high:.2f}')}"
    return Markup("{} {} {} ({})").format(_BOLD.format(words), than, other, size)


def _panels(reference: Result, found: list[Result]) -> Iterator[Markup]:
    """Other panels against the reference's, by the same predictor: F910 against L1000 first, where both are there."""
    rivals = [
        result
        for result in found
        if result.predictor == reference.predictor and result.panel != reference.panel and result.difference
    ]
    rivals.sort(key=lambda rival: not _f910_against_l1000(reference, rival))
    if not rivals:
        return
    if _f910_against_l1000(reference, rivals[0]):
        yield Markup("Is a panel learned as F910 was as good as L1000?")
    claims = [
        Markup("{} ({} genes) is {}").format(rival.panel, f"{rival.n_landmarks:,}", claim(rival, reference.panel))
        for rival in rivals
    ]
    yield Markup("By {}, {}.").format(reference.predictor, _listed(claims))
    if any(rival.n_landmarks != reference.n_landmarks for rival in rivals):
        size = f"{reference.n_landmarks:,}"
        yield Markup("But {} has {} genes, and more genes make an easier task.").format(reference.panel, size)


def _f910_against_l1000(one: Result, other: Result) -> bool:
    return {one.selector, other.selector} == {"l1000", "paper_f910"}


def _control(found: list[Result]) -> Iterator[Markup]:
    """Say what random panels reach, and the others by the same predictor: numbers alone, no verdict."""
    comparable = ranked(found)
    for predictor in sorted({result.predictor for result in comparable if result.selector == "random"}):
        same = [result for result in comparable if result.predictor == predictor]
        drawn = [result.explained or 0 for result in same if result.selector == "random"]
        others = [
            Markup("{} {}").format(result.panel, percent(result.explained))
            for result in same
            if result.selector != "random"
        ]
        sizes = sorted({result.n_landmarks for result in same if result.selector == "random"})
        reach = percent(min(drawn)) if percent(min(drawn)) == percent(max(drawn)) else (
            f"{percent(min(drawn))[:-2]} to {percent(max(drawn))}"
        )  # fmt: skip
        tail = Markup("; beside them {}").format(_listed(others)) if others else Markup("")
        yield Markup("The control: {} genes drawn at random reach {} by {}{}.").format(
            " or ".join(f"{size:,}" for size in sizes), _BOLD.format(reach), predictor, tail
        )


def _listed(parts: Sequence[Markup | str]) -> Markup:
    safe = [escape(part) for part in parts]
    return safe[0] if len(safe) == 1 else Markup(", ").join(safe[:-1]) + Markup(" and ") + safe[-1]


def left_out(tables: Tables) -> str:
    """How many targets do not vary among the test cells, and so are in no median of R squared."""
    constant = tables.per_gene.filter(pl.col("r2").is_null())["gene_id"].n_unique()
    genes = tables.per_gene["gene_id"].n_unique()
    if not constant:
        return "Every gene varies among the test cells, so none is left out of the median R²."
    return f"{constant:,} of the {genes:,} genes do not vary among the test cells and are left out of the median R²."
