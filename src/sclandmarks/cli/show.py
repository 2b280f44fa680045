"""How the look at a file is shown to people: short lines in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sclandmarks.io.inspect import Inspection

UNITS = ("bytes", "kB", "MB", "GB", "TB")
LABEL = 13
MOST_COLUMNS = 12
EXAMPLES = 44


def page(found: Inspection) -> str:
    """Lines about a file, without the entry for datasets.yaml."""
    return "\n".join([found.path, *_facts(found), *_matrices(found), *_columns(found), *_problems(found)])


def _facts(found: Inspection) -> Iterator[str]:
    packing = f", {found.packing}" if found.packing else ""
    yield _line("format", f"{found.about}{packing}, {size(found.n_bytes)}")
    about = "" if found.exact else "about "
    n_cells, n_genes = (n if found.exact else int(float(f"{n:.3g}")) for n in (found.n_cells, found.n_genes))
    yield _line("shape", f"{about}{n_cells:,} cells x {n_genes:,} genes")
    yield _line("layout", found.layout)
    ids = found.genes
    words = [ids.kind, *(["with versions"] if ids.versions else []), ids.organism or "organism not recognised"]
    yield _line("genes", ", ".join(words))
    seen = "" if ids.n_seen == found.n_genes else f" among the first {ids.n_seen:,} genes"
    yield _line("landmarks", f"{ids.n_landmarks} of the {ids.n_l1000} of L1000{seen}")


def _matrices(found: Inspection) -> Iterator[str]:
    rows = []
    for one in found.matrices:
        whole = "no values" if one.largest != one.largest else f"whole numbers up to {one.largest:,.0f}"
        mark = "<- counts" if one.name == found.taken else ""
        rows.append((one.name, one.fault or whole, mark))
    yield from _table("matrices", rows)


def _columns(found: Inspection) -> Iterator[str]:
    rows = [
        (one.name, f"{one.n_levels:,}", _cut(", ".join(one.examples), EXAMPLES), f"<- {one.role}" if one.role else "")
        for one in found.columns[:MOST_COLUMNS]
    ]
    left = len(found.columns) - len(rows)
    yield from _table("cells", [*rows, *([(f"and {left} more", "", "", "")] if left > 0 else [])])


def _problems(found: Inspection) -> Iterator[str]:
    if not found.problems:
        yield _line("problems", "none seen")
    for at, one in enumerate(sorted(found.problems, key=lambda one: not one.fatal)):
        yield _line("" if at else "problems", f"{'!' if one.fatal else '-'} {one.what}")
        yield _line("", f"  {one.remedy}")


def _table(label: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for at, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield _line("" if at else label, "  ".join(cells).rstrip())


def _line(label: str, text: str) -> str:
    return f"  {label:{LABEL}}{text}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def size(n_bytes: int) -> str:
    """Bytes in the largest fitting unit, 1 kB = 1,000 bytes."""
    amount, unit = float(n_bytes), 0
    while amount >= 1000 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.3g} {UNITS[unit]}"
