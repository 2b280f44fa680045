"""Downloads over HTTP(S): resumed where they were cut, retried with patience, ended where they never would end."""

from __future__ import annotations

import logging
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from sclandmarks.errors import SourceError
from sclandmarks.io.sources.archives import Partial

if TYPE_CHECKING:
    from httpx2 import Client, Response

USER_AGENT = "sclandmarks"
SIZE_LIMIT = 10 << 30
MAX_REDIRECTS, PROGRESS = 10, 1 << 20
REDIRECTS, PASSING = {301, 302, 303, 307, 308}, {408, 416, 425, 429, 500, 502, 503, 504}
REMEDY = "Correct the address under `source` in datasets.yaml, or open it in a browser to see what is wrong there."
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds.

    Parameters
    ----------
    attempts : int
        Failures in a row that end a download; one that brought another MiB starts the count again.
    back_off, longest_wait : float
        Before the second attempt, and doubled with each failure in a row; the longest wait.
    connect, read, head : float
        For a connection; for the next bytes; for all of an answer's status and headers.
    window, least_speed : float
        Fewer bytes a second than `least_speed`, over `window` seconds, is a failure.
    sleep : callable
        Waits.
    """

    attempts: int = 6
    back_off: float = 1.0
    longest_wait: float = 60.0
    connect: float = 20.0
    read: float = 60.0
    head: float = 180.0
    window: float = 60.0
    least_speed: float = 2000.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, n_failures: int, asked: float = 0.0) -> float:
        """Seconds before the next attempt: half to all of the doubled back-off, or what the server asked for."""
        back_off = self.back_off * 2.0 ** (n_failures - 1) * random.uniform(0.5, 1)  # noqa: S311 (no secret)
        return float(min(max(back_off, asked), self.longest_wait))


PATIENCE = Patience()


class _PassingError(Exception):
    """What may be gone at the next attempt."""

    def __init__(self, fault: str, wait: float = 0.0) -> None:
        super().__init__(fault)
        self.wait = wait


def download(
    url: str,
    target: Path,
    *,
    size_limit: int = SIZE_LIMIT,
    user_agent: str = USER_AGENT,
    patience: Patience = PATIENCE,
    accept: Callable[[Path], None] | None = None,
) -> None:
    """Download a file, whole and accepted, or not at all; one process at a time.

    What has come when it fails or is killed is kept in `<target>.part`. The next call asks for the rest, if the
    server says by a strong ETag or a date that the file is still the same.

    Parameters
    ----------
    url : str
        http or https; redirects are followed, except from https to http. Proxies are those of the environment.
    target : Path
        Its folder is made; what is there is replaced.
    size_limit : int
        Most bytes that are taken.
    user_agent : str
    patience : Patience
    accept : callable, optional
        Given the path of the whole file, raises SourceError if it is not the right one; then it is removed.

    Raises
    ------
    SourceError
        If the server refuses, the file is empty, too large or not accepted, or attempts are used up.
    OSError
        As the file system raises it (full disk, no permission).
    """
    part = Partial(target, url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _client(user_agent, patience) as client:
            _persist(client, part, size_limit, patience)
        part.finish(accept)
    except (SourceError, OSError) as error:
        error.add_note(f"while downloading {url} to {target}")
        raise


def _persist(client: Client, part: Partial, size_limit: int, patience: Patience) -> None:
    """Attempt until it is whole, or failures without progress are too many."""
    n_failures, reached = 0, part.size
    while True:
        try:
            return _attempt(client, part, size_limit, patience)
        except _PassingError as error:
            n_failures = 1 if part.size >= reached + PROGRESS else n_failures + 1
            reached = max(reached, part.size)
            if n_failures >= patience.attempts:
                got, remedy = f"{n_failures} failures in a row, the last: {error}", "Check the network, and run again."
                raise SourceError(f"all of {part.url}", got, remedy) from error
            logger.info("%s: %s; it is tried again", part.url, error)
            patience.sleep(patience.wait(n_failures, error.wait))


def _attempt(client: Client, part: Partial, size_limit: int, patience: Patience) -> None:
    from httpx2 import InvalidURL, RequestError

    try:
        with _answer(client, part.url, part.ask_for_rest(), patience.head) as response:
            total = _begin(response, part)
            _limit(part, total or 0, size_limit)
            _receive(response, part, total, size_limit, patience)
    except RequestError as error:
        raise _PassingError(f"{type(error).__name__}: {error}") from error
    except InvalidURL as error:
        raise SourceError("an address", f"{part.url}: {error}", REMEDY) from error


@contextmanager
def _answer(client: Client, url: str, headers: dict[str, str], head: float) -> Iterator[Response]:
    """Answer of the address that redirects lead to, its body still to come."""
    for _ in range(MAX_REDIRECTS + 1):
        with _in_time(head) as trace:
            request = client.build_request("GET", url, headers=headers, extensions={"trace": trace})
            response = client.send(request, stream=True)
        with closing(response):
            if response.status_code not in REDIRECTS:
                yield response
                return
            url = redirected(url, response.headers.get("Location", ""))
    raise SourceError(f"at most {MAX_REDIRECTS} redirects", f"one more, to {url}", REMEDY)


def redirected(url: str, location: str) -> str:
    """Address that `url` redirects to.

    Raises
    ------
    SourceError
        If it is no http or https address, or leads from https to http.
    """
    try:
        there = urljoin(url, location)
        scheme = urlsplit(there).scheme if location and urlsplit(there).hostname else ""
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise SourceError(f"{url} to redirect to http or https", location or "no Location", REMEDY)
    if urlsplit(url).scheme == "https" and scheme == "http":
        raise SourceError(f"{url} to redirect to https", f"{there}, where anyone can change the file", REMEDY)
    return there


def _begin(response: Response, part: Partial) -> int | None:
    """Make `part` ready for the body of this answer, and say how large it shall be in the end, if that is known."""
    status, encoding = response.status_code, _encoding(response)
    if status == 206:
        whole = re.fullmatch(r"bytes (\d{1,19})-\d+/(\d{1,19}|\*)", response.headers.get("Content-Range", "").strip())
        validator = _validator(response)
        if whole is None or int(whole[1]) != part.size or validator not in (None, part.validator) or encoding:
            part.discard()
            raise _PassingError("status 206 with a part of something else")
        return None if whole[2] == "*" else int(whole[2])
    if status == 200:
        part.restart(None if encoding else _validator(response))
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() and not encoding else None
    if status == 416:
        part.discard()
    if status in PASSING:
        after = response.headers.get("Retry-After", "")
        raise _PassingError(f"status {status} {response.reason_phrase}", float(after) if after.isdecimal() else 0.0)
    raise SourceError(f"status 200 from {response.url}", f"status {status} {response.reason_phrase}", REMEDY)


def _receive(response: Response, part: Partial, total: int | None, size_limit: int, patience: Patience) -> None:
    size, progress = part.size, _Progress(part.target.name, total)
    with part.path.open("ab") as file:
        since, came = time.monotonic(), 0
        for chunk in response.iter_bytes() if _encoding(response) else response.iter_raw():
            size, came = size + len(chunk), came + len(chunk)
            _limit(part, size, size_limit)
            file.write(chunk)
            progress.show(size)
            seconds = time.monotonic() - since
            if seconds >= patience.window:
                if came / seconds < patience.least_speed:
                    raise _PassingError(f"{came} bytes in {seconds:.1f} s: too slow")
                since, came = time.monotonic(), 0
    progress.show(size, is_end=True)
    if total is not None and size != total:
        part.discard()
        raise _PassingError(f"{size} bytes instead of the {total} promised")
    if not {"content-length", "transfer-encoding"} & set(response.headers):
        logger.warning("%s: the server does not say how long it is; a cut would not be noticed", part.url)
    if size == 0:
        raise SourceError(f"a file at {part.url}", "an empty one", REMEDY)


def _limit(part: Partial, size: int, size_limit: int) -> None:
    if size > size_limit:
        part.discard()
        raise SourceError(f"at most {size_limit} bytes (`size_limit`) from {part.url}", f"{size} or more", REMEDY)


def _validator(response: Response) -> str | None:
    etag = response.headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _encoding(response: Response) -> str:
    """Compression the server put on the way, or ""; a .gz file that is called encoded is taken as it is."""
    encoding: str = response.headers.get("Content-Encoding", "").strip().lower()
    as_it_is = encoding == "identity" or (encoding.endswith("gzip") and response.url.path.endswith((".gz", ".tgz")))
    if encoding and not as_it_is and encoding not in ("gzip", "deflate"):
        raise SourceError(f"{response.url} as it is, or gzip", f"Content-Encoding {encoding}", REMEDY)
    return "" if as_it_is else encoding


def _client(user_agent: str, patience: Patience) -> Client:
    import httpx2

    headers = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
    try:
        timeout = httpx2.Timeout(patience.read, connect=patience.connect)
        return httpx2.Client(headers=headers, timeout=timeout, limits=httpx2.Limits(max_keepalive_connections=0))
    except (httpx2.InvalidURL, ImportError, ValueError, OSError) as error:
        raise SourceError("usable HTTPS_PROXY, ALL_PROXY ... and SSL_CERT_FILE", str(error), "Mend these.") from error


@contextmanager
def _in_time(seconds: float) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Cut the connection that the block opens if it takes longer: httpx has a time-out for each packet alone."""
    streams: list[Any] = []

    def trace(name: str, info: dict[str, Any]) -> None:
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            streams[:] = [info["return_value"]]

    def cut() -> None:
        for stream in streams:
            with suppress(OSError):
                socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


class _Progress:
    """Says how far a download is, on a terminal alone."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name, self.total, self.shown, self.is_on = name, total, 0.0, sys.stderr.isatty()

    def show(self, size: int, *, is_end: bool = False) -> None:
        if self.is_on and (is_end or time.monotonic() - self.shown >= 0.2):
            self.shown = time.monotonic()
            share = f" of {self.total / 1e6:.1f}" if self.total else ""
            sys.stderr.write(f"\r{self.name}: {size / 1e6:.1f}{share} MB " + "\n" * is_end)
            sys.stderr.flush()
