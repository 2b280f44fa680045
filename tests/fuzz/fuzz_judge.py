"""Whether what reading a damaged file came to is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from fuzz_child import Child, Outcome
from fuzz_mutations import Damage, damaged
from fuzz_samples import SEALED, Sample

Verdict = Literal["error", "same", "other", "wrong", "crash", "hang", "memory"]
MOST_TIMES = 3


class Judged(NamedTuple):
    """A verdict, and why.

    `error`: one of the project's errors that names the file. `same`: the matrix of the sound file. `other`: another
    sound matrix, of at most MOST_TIMES the cells and genes: damage may turn a count or a name into another, and
    nothing but a checksum could tell. `wrong`: anything else. `crash`, `hang`, `memory`: the process was lost.
    """

    verdict: Verdict
    why: str
    case: Sample


class Court:
    """Damages copies of samples, has them read, and judges.

    Parameters
    ----------
    samples : dict of str to Sample
    scratch : Path
        A folder for the damaged copy.
    child : Child
    """

    def __init__(self, samples: dict[str, Sample], scratch: Path, child: Child) -> None:
        self.samples, self.scratch, self.child = samples, scratch, child
        self.sound: dict[str, Outcome] = {}

    def judge(self, name: str, damage: Damage) -> Judged:
        """Damage one file of a sample, read it and judge."""
        if name not in self.sound:
            # The same place as the damaged copy, so that the names of files in labels are the same.
            self.sound[name] = self._read(self.samples[name].copy(self.scratch))
        case = self.samples[name].copy(self.scratch)
        path = case.paths[damage.file % len(case.paths)]
        whole = path.read_bytes()
        content, inside = damaged(whole, damage)
        path.write_bytes(content)
        sealed = whole.startswith(SEALED) and not inside
        outcome = self._read(case)
        judged = Judged(*_verdict(outcome, self.sound[name], sealed=sealed, names=_names(case)), case)
        if judged.verdict == "wrong":  # an earlier case may have left the memory of the process in disorder
            self.child.stop()
            judged = Judged(*_verdict(self._read(case), self.sound[name], sealed=sealed, names=_names(case)), case)
        return judged

    def _read(self, case: Sample) -> Outcome:
        return self.child.read(case.files, case.settings)


def _names(case: Sample) -> set[str]:
    return {str(path) for path in (*case.paths, *case.files.values())}


def _verdict(outcome: Outcome, sound: Outcome, *, sealed: bool, names: set[str]) -> tuple[Verdict, str]:
    if outcome.kind == "error":
        named = any(name in outcome.text for name in names)
        return ("error", outcome.text) if named else ("wrong", f"names no file: {outcome.text}")
    if outcome.kind == "matrix":
        if outcome.text == sound.text:
            return "same", ""
        if sealed:
            return "wrong", "another matrix from a file with a checksum"
        small = all(got <= MOST_TIMES * had for got, had in zip(outcome.shape, sound.shape, strict=True))
        return ("other", "") if small else ("wrong", f"a matrix of {outcome.shape}")
    return outcome.kind, outcome.text  # type: ignore[return-value]


@contextmanager
def court(samples: dict[str, Sample], scratch: Path) -> Iterator[Court]:
    """A court with a child of its own."""
    with Child() as child:
        yield Court(samples, scratch, child)
