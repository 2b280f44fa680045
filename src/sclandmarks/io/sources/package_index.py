"""Finding and downloading a package's archive by the user's own pip settings.

`pip download` would run the build backend of a source archive; here nothing is built, imported or executed.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sclandmarks.errors import SourceError
from sclandmarks.io.atomic import write_aside

if TYPE_CHECKING:
    from unearth import Link
    from unearth.fetchers import PyPIClient

PYPI = "https://pypi.org/simple/"
CHUNK = 1 << 20
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PipSettings:
    """Where and how pip looks for packages.

    Parameters
    ----------
    indexes, find_links : tuple of str
        Index addresses, and folders or pages with archives.
    trusted_hosts : tuple of str
        Hosts whose certificate is not checked.
    cert, proxy : str, optional
        File or folder of certificates; address of a proxy.
    timeout : float
        Seconds.
    """

    indexes: tuple[str, ...] = (PYPI,)
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: str | None = None
    proxy: str | None = None
    timeout: float = 15.0

    @property
    def places(self) -> list[tuple[str, str]]:
        """(kind, address) of every place to look in, those on this machine first."""
        places = [("find_links", url) for url in self.find_links] + [("index", url) for url in self.indexes]
        return sorted(places, key=lambda place: place[1].startswith(("http://", "https://")))


def pip_settings() -> PipSettings:
    """Read pip's own settings: its files, by `pip config list`, then PIP_* of the environment.

    Raises
    ------
    SourceError
        If the timeout is no number.
    """
    return parse_settings(_pip_config(), os.environ)


def parse_settings(listing: str, environ: Mapping[str, str]) -> PipSettings:
    """Make settings of the output of `pip config list` and of PIP_* variables, which win.

    Raises
    ------
    SourceError
        If the timeout is no number.
    """
    values: dict[str, str] = {}
    for section in ("global", "download"):
        values |= dict(_section(listing.splitlines(), section))
    values |= {
        key.removeprefix("PIP_").lower().replace("_", "-"): value
        for key, value in environ.items()
        if key.startswith("PIP_") and value
    }
    index = [] if _is_true(values.get("no-index", "")) else [values.get("index-url", PYPI)]
    extra = values.get("extra-index-url", "").split() if index else []
    return PipSettings(
        indexes=tuple(index + extra),
        find_links=tuple(
            str(Path(url).expanduser()) if url.startswith("~") else url for url in values.get("find-links", "").split()
        ),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        cert=values.get("cert"),
        proxy=_with_scheme(values.get("proxy")),
        timeout=_seconds(values.get("timeout") or values.get("default-timeout") or "15"),
    )


def download(requirement: str, file: str, sha256: str, target: Path) -> None:
    """Download an archive to `target`, whole and verified, or not at all.

    Parameters
    ----------
    requirement : str
        Package and version, as `palantir==1.0.0`.
    file : str
        Name of the archive.
    sha256 : str
        What its content must hash to.
    target : Path

    Raises
    ------
    SourceError
        If no place that pip knows has the file, none can be reached, or what they have hashes to something else.
    """
    settings = pip_settings()
    faults: list[str] = []
    with _client(settings) as client:
        for kind, url in settings.places:
            fault = _try(client, kind, url, requirement, file, sha256, target)
            if fault is None:
                return
            logger.debug("%s", fault)
            faults.append(fault)
    raise SourceError(
        f"{file} ({requirement}) with sha256 {sha256} in a place that pip knows",
        "\n  " + "\n  ".join(faults or ["no place at all"]) + "\n",
        "Check the network and `python -m pip config list`; or download that very file by hand and put it into "
        f"{target.parent}. If the hash is wrong everywhere, correct `source` in datasets.yaml.",
    )


def _try(client: PyPIClient, kind: str, url: str, requirement: str, file: str, sha256: str, target: Path) -> str | None:
    """Download from one place; what went wrong, or None when it is done."""
    from unearth import Link
    from unearth.preparer import HTTPErrors

    place = Link(url).redacted if "://" in url else url
    try:
        link = _find(client, kind, url, requirement, file)
        if link is None:
            return f"{place}: not there"
        logger.info("downloading %s from %s", file, place)
        return _save(client, link, sha256, target)
    except HTTPErrors as error:
        return f"{place}: {type(error).__name__}: {error}"
    except ValueError as error:
        return f"{place}: {error}"


def _find(client: PyPIClient, kind: str, url: str, requirement: str, file: str) -> Link | None:
    from unearth import PackageFinder

    where: dict[str, Iterable[str]] = {"index_urls": [url]} if kind == "index" else {"find_links": [url]}
    finder = PackageFinder(client, ignore_compatibility=True, **where)  # type: ignore[arg-type]
    try:
        matches = finder.find_matches(requirement)
        return next((match.link for match in matches if match.link.filename == file), None)
    except OSError as error:
        raise ValueError(f"cannot be listed ({error})") from error


class _WrongHashError(ValueError):
    """The bytes that came are not the pinned ones."""


def _save(client: PyPIClient, link: Link, sha256: str, target: Path) -> str | None:
    digest = hashlib.sha256()
    with client.get_stream(link.normalized) as response:
        if response.status_code != 200:
            return f"{link.redacted}: status {response.status_code}"
        with write_aside(target) as aside:
            with aside.open("wb") as file:
                for chunk in response.iter_bytes(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != sha256:
                raise _WrongHashError(f"sha256 {digest.hexdigest()} instead, the file was removed")
    return None


def _client(settings: PipSettings) -> PyPIClient:
    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    client = PyPIClient(
        trusted_hosts=settings.trusted_hosts,
        verify=_certificates(settings.cert),
        timeout=settings.timeout,
        proxy=settings.proxy,
        follow_redirects=True,
    )
    client.auth = MultiDomainBasicAuth(prompting=False, index_urls=settings.indexes)
    return client


def _certificates(cert: str | None) -> ssl.SSLContext | bool:
    if cert is None:
        return True
    try:
        is_folder = Path(cert).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else cert, capath=cert if is_folder else None)
    except OSError as error:
        raise SourceError(
            f"certificates at {cert}, as pip's `cert` says", str(error), "Mend pip's settings."
        ) from error


def _pip_config() -> str:
    """Return what `pip config list` prints; nothing where this Python has no pip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    if listing.returncode:
        logger.info("pip's settings are not used: %s", listing.stderr.strip())
        return ""
    return listing.stdout


def _section(lines: list[str], section: str) -> Iterable[tuple[str, str]]:
    for line in lines:
        match = re.match(rf"^{section}\.([a-z-]+)=(.*)$", line)
        if match and (value := _unquoted(match.group(2))):
            yield match.group(1), value


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value


def _is_true(value: str) -> bool:
    return value.lower() in {"1", "true", "yes", "on", "y", "t"}


def _with_scheme(proxy: str | None) -> str | None:
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SourceError("a number of seconds as pip's `timeout`", text, "Mend pip's settings.") from error
