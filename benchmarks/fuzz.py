"""Damaged files for every reader, by chance from a seed, for as long as asked; prints what became of them.

`python benchmarks/fuzz.py --minutes N [--seed S] [--only READER ...] [--keep FOLDER]`. Cases with a wrong outcome are
kept in FOLDER. The first lost processes of each sample are read again
through `read_isolated`, as the stage does it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sclandmarks.errors import DataError
from sclandmarks.io.raw import READERS, Reader
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.isolated import Limits, read_isolated

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "fuzz"))
from fuzz_judge import Judged, court
from fuzz_mutations import drawn
from fuzz_samples import Sample, samples

COLUMNS = {
    "error": "errors", "same": "same matrix", "other": "other sound matrix", "wrong": "WRONG", "crash": "crashes",
    "hang": "hangs", "memory": "memory", "contained": "contained",
}  # fmt: skip
LOST = ("crash", "hang", "memory")
CHECKED = 3
LIMITS = Limits(3 * 10**9, 10.0)


def is_contained(case: Sample) -> bool:
    """Whether a case that killed its process is one of the project's errors when it is read as the stage does."""
    settings: Any = TypeAdapter(Reader).validate_python(case.settings)
    try:
        read_isolated(case.files, settings, Origin("mine", "colon"), LIMITS)
    except DataError as error:
        return str(case.files["counts"]) in "".join(error.__notes__)
    return True


def keep(judged: Judged, folder: Path, number: int) -> None:
    """Keep a case, and what became of it."""
    place = folder / f"{judged.verdict}-{number}"
    judged.case.copy(place)
    (folder / f"{place.name}.txt").write_text(f"{judged.case.settings}\n{judged.why}\n")


def main() -> None:
    """Run for some minutes, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    rng, begin = random.Random(given.seed), time.monotonic()  # noqa: S311
    tally = {name: Counter[str]() for name in given.only}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        scratch = Path(name)
        made = {key: one for key, one in samples(scratch / "samples").items() if one.settings["format"] in given.only}
        checked: Counter[str] = Counter()
        with court(made, scratch / "case") as judges:
            while time.monotonic() - begin < 60 * given.minutes:
                for sample in made:
                    spent = time.monotonic()
                    judged = judges.judge(sample, drawn(rng))
                    counts = tally[made[sample].settings["format"]]
                    counts.update([judged.verdict, "cases"])
                    if judged.verdict in LOST and checked[sample] < CHECKED:
                        checked[sample] += 1
                        counts["contained" if is_contained(judged.case) else "wrong"] += 1
                    if judged.verdict in ("wrong", *LOST) and given.keep:
                        keep(judged, given.keep, tally_of(tally, "cases"))
                    counts["ms"] += int(1000 * (time.monotonic() - spent))
    print(f"seed {given.seed}\n\n| reader | cases | {' | '.join(COLUMNS.values())} | minutes |")
    print("| --- " * (len(COLUMNS) + 3) + "|")
    for reader, counts in tally.items():
        line = " | ".join(f"{counts[key]:,}" for key in ("cases", *COLUMNS))
        print(f"| {reader} | {line} | {counts['ms'] / 60_000:.1f} |")
    sys.exit(1 if tally_of(tally, "wrong") else 0)


def tally_of(tally: dict[str, Counter[str]], key: str) -> int:
    """Sum over readers."""
    return sum(counts[key] for counts in tally.values())


if __name__ == "__main__":
    main()
