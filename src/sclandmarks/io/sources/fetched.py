"""What came from the network, as stages read it: files in a folder that DVC keeps, and a list of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sclandmarks import paths
from sclandmarks.errors import SchemaError, SourceError
from sclandmarks.io.tables import read_json

LIST = "fetched.json"


@dataclass(frozen=True)
class Fetched:
    """Files that stage `fetch` got; nothing is asked of the network.

    Parameters
    ----------
    folder : Path
        With the list `fetched.json`: address -> file and SHA-256.
    """

    folder: Path = paths.FETCHED

    @cached_property
    def _files(self) -> dict[str, dict[str, str]]:
        try:
            return read_json(self.folder / LIST)
        except SchemaError:
            return {}

    def path(self, address: str) -> Path:
        """Path of the file that came from an address.

        Raises
        ------
        SourceError
            If it is not there.
        """
        path = self.folder / self._files.get(address, {}).get("file", "")
        if not path.is_file():
            remedy = "Run `dvc repro fetch`, or `dvc pull` where a colleague pushed it."
            raise SourceError(f"the file of {address} in {self.folder}", "none, it was not fetched", remedy)
        return path

    def sha256(self, address: str) -> str | None:
        """SHA-256 of the file that came from an address; None where it was not fetched."""
        return self._files.get(address, {}).get("sha256")
