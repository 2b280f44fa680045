"""Where a run comes from: the commit, the DVC stage, and the hashes of what it read."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

GIT_SECONDS = 10

_log = logging.getLogger(__name__)
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads dvc.lock ten times faster


def root() -> Path:
    """Root of the DVC repository: DVC_ROOT inside a stage, else the working directory."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def stage_tags() -> dict[str, str]:
    """Name of the DVC stage at work, for example fit@l1000-ridge; empty outside of one."""
    name = os.environ.get("DVC_STAGE")
    return {"dvc.stage": name} if name else {}


def git_tags(folder: Path) -> dict[str, str]:
    """Commit and dirty flag of the checkout at `folder`; empty without git or without a commit.

    Dirty means that a tracked file differs from the commit, dvc.lock aside: `dvc repro` itself rewrites that one.
    """
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return {}
    changes = git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock")
    tags = {"git.commit": commit, "mlflow.source.git.commit": commit}
    return tags if changes is None else tags | {"git.dirty": "true" if changes else "false"}


def git(folder: Path, *arguments: str) -> str | None:
    """Answer of a git command at `folder`, without blanks around it; None where there is none."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        _log.debug("no answer from git: %s", error)
        return None
    return done.stdout.strip()


def input_hashes(inputs: Iterable[Path], folder: Path) -> dict[str, str]:
    """Look up the md5 of each input in the dvc.lock of `folder`.

    DVC writes dvc.lock after each stage, so while a stage runs the hashes of its inputs stand there as the outs of
    earlier stages. Outside `dvc repro` the lock may be older than the files.

    Parameters
    ----------
    inputs : iterable of Path
        An input that lies inside an out takes that out's hash; one that contains outs takes all of theirs.
    folder : Path
        Root of the DVC repository.

    Returns
    -------
    dict of str to str
        Path of the out, relative to `folder` -> md5. Inputs that no stage made are not in it.
    """
    outs = _locked_outs(folder / "dvc.lock")
    found: dict[str, str] = {}
    for path in inputs:
        wanted = PurePosixPath(_relative(path, folder))
        found |= {out: md5 for out, md5 in outs.items() if wanted.is_relative_to(out) or _holds(wanted, out)}
    return found


def _holds(folder: PurePosixPath, out: str) -> bool:
    return PurePosixPath(out).is_relative_to(folder)


def _relative(path: Path, folder: Path) -> str:
    """Path in the terms of dvc.lock: posix, relative to `folder` (absolute only for what lies outside)."""
    absolute, base = (Path(os.path.normpath(one.absolute())) for one in (path, folder))  # links are not followed
    return (absolute.relative_to(base) if absolute.is_relative_to(base) else absolute).as_posix()


def _locked_outs(lock: Path) -> dict[str, str]:
    try:
        content = yaml.load(lock.read_text(encoding="utf-8"), Loader=SAFE_LOADER)  # noqa: S506 (safe, both)
    except (OSError, ValueError, yaml.YAMLError) as error:
        _log.debug("no hashes from %s: %s", lock, error)
        return {}
    return {str(out["path"]): str(out["md5"]) for out in _outs(content) if "path" in out and "md5" in out}


def _outs(content: Any) -> Iterator[dict[str, Any]]:
    """Outs of all stages; what is not as DVC writes it is left out."""
    stages = content.get("stages") if isinstance(content, dict) else None
    for stage in stages.values() if isinstance(stages, dict) else ():
        outs = stage.get("outs") if isinstance(stage, dict) else None
        for out in outs if isinstance(outs, list) else ():
            if isinstance(out, dict):
                yield out
