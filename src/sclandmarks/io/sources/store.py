"""Keeping what came from the network: in a folder for DVC what is needed, in state/downloads all that ever came."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from sclandmarks import paths
from sclandmarks.io.sources.archives import add_pin, is_kept, read_pins, sha256_of
from sclandmarks.io.sources.fetched import LIST
from sclandmarks.io.sources.http import PATIENCE, Patience
from sclandmarks.io.tables import write_json

Download = Callable[[Path, str | None], None]


@dataclass
class Store:
    """Files by address. One is asked for once; ever after it is taken from `folder` or `downloads`.

    Parameters
    ----------
    folder : Path
        What `finish` leaves there depends on the files that were asked for alone: it is an output of DVC.
    downloads : Path
        All that ever came, and downloads that were cut. The same file in both is one on the disk, where it can be.
    lock : Path
        SHA-256 of every address that was fetched without one in datasets.yaml; written at the first fetch.
    patience : Patience
    """

    folder: Path = paths.FETCHED
    downloads: Path = paths.DOWNLOADS
    lock: Path = paths.DATASETS_LOCK
    patience: Patience = PATIENCE
    _needed: dict[str, dict[str, str]] = field(default_factory=dict)

    def promised(self, address: str) -> str | None:
        """SHA-256 that an address gave when it was first fetched, if it was."""
        return read_pins(self.lock).get(address)

    def keep(self, address: str, place: str, sha256: str | None, download: Download) -> Path:
        """Path of the file of an address in `folder`: kept, or else fetched; one process at a time.

        Parameters
        ----------
        address : str
        place : str
            Where it goes in `folder` and in `downloads`.
        sha256 : str, optional
            What it must hash to; without it what the lock has, and without that any content, which is pinned.
        download : callable
            Given a path in `downloads` and what is promised, makes a file of that SHA-256 there. Until it has, the
            file that was there stays, whatever it hashes to: the promise may be what is wrong.

        Raises
        ------
        SourceError
            As `download` and `archives.read_pins`.
        """
        kept, shown = self.downloads / place, self.folder / place
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.parent / ".lock"):
            promised = sha256 or self.promised(address)
            if promised is None or not self._has(kept, shown, promised):
                download(kept, promised)
                promised = promised or self._pin(address, kept)
                _share(kept, shown)
        self._needed[address] = {"file": place, "sha256": promised}
        return shown

    def finish(self) -> None:
        """List what was asked for in `folder`, and put everything else there back to `downloads`."""
        needed = {self.folder / file["file"] for file in self._needed.values()} | {self.folder / LIST}
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
            elif path.is_file() and path not in needed:
                kept = self.downloads / path.relative_to(self.folder)
                if not kept.exists() and not path.name.endswith(".part"):
                    _share(path, kept)
                path.unlink()
        write_json(self.folder / LIST, self._needed)

    def _has(self, kept: Path, shown: Path, sha256: str) -> bool:
        """Whether either has the file; then both have it."""
        if is_kept(shown, sha256):
            if not kept.exists():
                _share(shown, kept)
            return True
        if is_kept(kept, sha256):
            _share(kept, shown)
            return True
        return False

    def _pin(self, address: str, path: Path) -> str:
        sha256 = sha256_of(path)
        with FileLock(self.downloads / "pins.lock"):
            add_pin(self.lock, address, sha256)
        return sha256


def folder_of(folder: Path, url: str) -> Path:
    """Where in `folder`, of what is shown or of downloads, the file of a web address is."""
    return folder / "url" / hashlib.sha256(url.encode()).hexdigest()[:16]


def place_of(url: str, name: str | None = None) -> str:
    """Where the file of a web address goes: a folder of its own, under its name or the end of the address."""
    return (folder_of(Path(), url) / (name or _name_of(url))).as_posix()


def _name_of(url: str) -> str:
    """What a file is called: the end of its address, of letters, digits, `.`, `_` and `-` alone."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(PurePosixPath(urlsplit(url).path).name))
    return name[-100:].lstrip(".") or "file"


def _share(source: Path, target: Path) -> None:
    """Put a file in a second place, by a hard link where the system can, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.share.part")
    aside.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), aside)
    except OSError:
        shutil.copyfile(source, aside)
    aside.replace(target)
    aside.unlink(missing_ok=True)  # it is left where both were the same file
