"""Downloads from a real server on loopback that cuts, lies, stalls, trickles, redirects and never ends."""

from __future__ import annotations

import contextlib
import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.sources.http import PATIENCE, Patience, download, redirected

REPOSITORY = Path(__file__).parents[4]
CONTENT = bytes(range(256)) * 1200
OTHER = CONTENT[::-1]
MIB = 1 << 20
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers the n-th request with the n-th answer of the site, and all later ones with the last."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site, number = self.site, len(self.site.requests)
        site.requests.append((self.path, dict(self.headers)))
        site.answers[min(number, len(site.answers) - 1)](self)
        self.close_connection = True

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, content: bytes) -> None:
        self.site.n_sent += len(content)  # before the client can have it all, and look
        self.wfile.write(content)
        self.wfile.flush()

    def chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def handle(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().handle()

    def log_message(self, *args: object) -> None:
        pass


class Site:
    """A server on loopback: what it was asked, and how many bytes of bodies it sent."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.n_sent = 0
        self.over = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": self}))
        self.http.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.http.server_port}"
        self.url = f"{self.root}/counts.csv"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def gives(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def asked(self, header: str) -> list[str | None]:
        return [headers.get(header) for _, headers in self.requests]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    made = Site()
    yield made
    made.over.set()
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    return Patience(attempts=3, connect=300, read=300, head=300, window=300, least_speed=1000, sleep=waits.append)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "counts.csv"


def whole(
    content: bytes = CONTENT,
    *,
    cut: int | None = None,
    promised: int | None = None,
    ranges: bool = True,
    heed: bool = True,
    **headers: str,
) -> Answer:
    """Content, or the rest of it where it is asked for and (`heed`) still the same; ended after `cut` bytes."""

    def answer(handler: Handler) -> None:
        asked, start = handler.headers.get("Range"), 0
        is_same = handler.headers.get("If-Range") in (None, *headers.values())
        if asked and ranges and (is_same or not heed):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            handler.head(
                206,
                Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}",
                Content_Length=len(content) - start,
                **headers,
            )
        else:
            handler.head(200, Content_Length=len(content) if promised is None else promised, **headers)
        handler.body(content[start:cut])

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.glob("*")}


def test_a_file_comes_whole_and_leaves_nothing_else(site: Site, target: Path, patience: Patience) -> None:
    site.gives(whole())
    download(site.url, target, patience=patience, user_agent="Mozilla/5.0 (like a browser)")
    assert target.read_bytes() == CONTENT
    assert left(target) == {"counts.csv"}
    assert site.asked("User-Agent") == ["Mozilla/5.0 (like a browser)"]
    assert site.asked("Accept-Encoding") == ["identity"]


@pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {"Last_Modified": "Tue, 05 May 2020 10:00:00 GMT"}])
def test_a_cut_download_asks_for_the_rest_alone(
    site: Site, target: Path, patience: Patience, waits: list[float], headers: dict[str, str]
) -> None:
    site.gives(whole(cut=100_000, **headers), whole(cut=250_000, **headers), whole(**headers))
    download(site.url, target, patience=patience)
    assert target.read_bytes() == CONTENT
    assert site.asked("Range") == [None, "bytes=100000-", "bytes=250000-"]
    assert site.asked("If-Range")[1:] == [*headers.values()] * 2
    assert site.n_sent == len(CONTENT)
    assert len(waits) == 2
    assert left(target) == {"counts.csv"}


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(whole(OTHER, ETag='"1"', ranges=False), id="no Range"),
        pytest.param(whole(OTHER, ETag='"2"'), id="another ETag"),
    ],
)
def test_where_the_rest_is_not_given_it_begins_again(
    site: Site, target: Path, patience: Patience, second: Answer
) -> None:
    site.gives(whole(cut=100_000, ETag='"1"'), second)
    download(site.url, target, patience=patience)
    assert site.asked("Range") == [None, "bytes=100000-"]
    assert target.read_bytes() == OTHER


def wrong_range(handler: Handler) -> None:
    handler.head(206, Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}", Content_Length=len(CONTENT) - 5)
    handler.body(CONTENT[5:])


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(whole(OTHER, ETag='"2"', heed=False), id="If-Range ignored"),
        pytest.param(wrong_range, id="another place"),
        pytest.param(lambda handler: handler.head(206, Content_Length=0), id="no place"),
        pytest.param(status(416), id="416"),
    ],
)
def test_the_rest_of_something_else_is_thrown_away(
    site: Site, target: Path, patience: Patience, second: Answer
) -> None:
    site.gives(whole(cut=100_000, ETag='"1"'), second, whole(OTHER, ETag='"2"'))
    download(site.url, target, patience=patience)
    assert site.asked("Range") == [None, "bytes=100000-", None]
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"1"'}])
def test_without_a_strong_mark_nothing_is_resumed(
    site: Site, target: Path, patience: Patience, headers: dict[str, str]
) -> None:
    site.gives(whole(cut=100_000, **headers), whole(**headers))
    download(site.url, target, patience=patience)
    assert site.asked("Range") == [None, None]
    assert target.read_bytes() == CONTENT


def test_what_came_is_kept_for_the_next_call_of_the_same_address(site: Site, target: Path, patience: Patience) -> None:
    site.gives(whole(cut=1000, ETag='"1"'))
    with pytest.raises(SourceError):
        download(site.url, target, patience=replace(patience, attempts=1))
    assert left(target) == {"counts.csv.part", "counts.csv.part.json"}
    site.gives(whole(ETag='"1"'))
    download(f"{site.root}/other", target, patience=patience)
    download(site.url, target, patience=patience)
    assert site.asked("Range") == [None, None, None]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("state", [b"", b"[]", b"{", b'{"url": 1}', b"\xff"])
def test_a_part_of_unknown_origin_is_not_gone_on_with(
    site: Site, target: Path, patience: Patience, state: bytes
) -> None:
    target.parent.mkdir()
    (target.parent / "counts.csv.part").write_bytes(b"something")
    (target.parent / "counts.csv.part.json").write_bytes(state)
    site.gives(whole(ETag='"1"'))
    download(site.url, target, patience=patience)
    assert site.asked("Range") == [None]
    assert target.read_bytes() == CONTENT


def chunked_and_cut(handler: Handler) -> None:
    handler.head(200, Transfer_Encoding="chunked")
    handler.chunk(CONTENT)


@pytest.mark.parametrize("answer", [whole(promised=len(CONTENT) + 1), chunked_and_cut])
def test_fewer_bytes_than_promised_are_never_taken_for_whole(
    site: Site, target: Path, patience: Patience, waits: list[float], answer: Answer
) -> None:
    site.gives(answer)
    with pytest.raises(SourceError, match=r"3 failures in a row, the last: RemoteProtocolError") as caught:
        download(site.url, target, patience=patience)
    assert site.url in caught.value.expected
    assert "Check the network" in caught.value.remedy
    assert len(site.requests) == 3
    assert len(waits) == 2
    assert not target.exists()


def test_a_body_of_unknown_length_is_taken_with_a_warning(
    site: Site, target: Path, patience: Patience, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(handler: Handler) -> None:
        handler.head(200, Connection="close")
        handler.body(CONTENT)

    site.gives(answer)
    download(site.url, target, patience=patience)
    assert target.read_bytes() == CONTENT
    assert f"{site.url}: the server does not say how long it is" in caplog.text


def test_a_length_that_differs_from_the_range_is_noticed(site: Site, target: Path, patience: Patience) -> None:
    def short(handler: Handler) -> None:
        handler.head(206, ETag='"1"', Content_Range=f"bytes 9-99/{len(CONTENT)}", Content_Length=91)
        handler.body(CONTENT[9:100])

    site.gives(whole(cut=9, ETag='"1"'), short, whole(ETag='"1"'))
    download(site.url, target, patience=patience)
    assert target.read_bytes() == CONTENT


def test_progress_starts_the_count_of_failures_again(site: Site, target: Path, patience: Patience) -> None:
    content = os.urandom(5 * MIB)
    site.gives(*(whole(content, cut=n * MIB, ETag='"1"') for n in range(1, 5)), whole(content, ETag='"1"'))
    download(site.url, target, patience=replace(patience, attempts=2))
    assert target.read_bytes() == content
    assert site.n_sent == len(content)


def test_what_is_not_accepted_is_removed(site: Site, target: Path, patience: Patience) -> None:
    def refuse(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        raise SourceError("another", "this", "Do.")

    site.gives(whole(ETag='"1"'))
    with pytest.raises(SourceError, match="expected another") as caught:
        download(site.url, target, patience=patience, accept=refuse)
    assert site.url in caught.value.__notes__[0]
    assert left(target) == set()


@pytest.mark.parametrize("code", [204, 400, 401, 403, 404, 410, 501])
def test_a_refusal_is_not_tried_again(
    site: Site, target: Path, patience: Patience, waits: list[float], code: int
) -> None:
    site.gives(status(code))
    with pytest.raises(SourceError, match=rf"status 200 from {site.url}; got status {code}.*datasets\.yaml"):
        download(site.url, target, patience=patience)
    assert len(site.requests) == 1
    assert waits == []
    assert left(target) == set()


def test_a_server_in_trouble_is_asked_again_and_waited_for(
    site: Site, target: Path, patience: Patience, waits: list[float]
) -> None:
    site.gives(status(500), status(503, Retry_After="7"), whole())
    download(site.url, target, patience=patience)
    assert target.read_bytes() == CONTENT
    assert 0.5 <= waits[0] <= 1
    assert waits[1] == 7


def test_a_server_that_stays_in_trouble_is_given_up(site: Site, target: Path, patience: Patience) -> None:
    site.gives(status(500))
    with pytest.raises(SourceError, match="3 failures in a row, the last: status 500 Internal Server Error"):
        download(site.url, target, patience=patience)
    assert len(site.requests) == 3


def test_waits_double_within_bounds_and_differ() -> None:
    drawn = {n: [PATIENCE.wait(n) for _ in range(50)] for n in (1, 2, 5, 60)}
    for n, times in drawn.items():
        longest = min(2.0 ** (n - 1), 60)
        assert all(longest / 2 <= seconds <= longest for seconds in times)
    assert len(set(drawn[5])) > 1
    assert PATIENCE.wait(1, asked=1e9) == 60


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: Site, target: Path, patience: Patience, code: int) -> None:
    site.gives(status(code, Location="/there?a=1"), status(code, Location=f"{site.root}/end"), whole())
    download(site.url, target, patience=patience)
    assert [path for path, _ in site.requests] == ["/counts.csv", "/there?a=1", "/end"]
    assert target.read_bytes() == CONTENT


def test_a_download_is_resumed_behind_a_redirect(site: Site, target: Path, patience: Patience) -> None:
    there = status(302, Location="/there")
    site.gives(there, whole(cut=100_000, ETag='"1"'), there, whole(ETag='"1"'))
    download(site.url, target, patience=patience)
    assert site.n_sent == len(CONTENT)
    assert target.read_bytes() == CONTENT


def test_a_loop_of_redirects_ends(site: Site, target: Path, patience: Patience) -> None:
    site.gives(status(302, Location="/counts.csv"))
    with pytest.raises(SourceError, match="at most 10 redirects"):
        download(site.url, target, patience=patience)
    assert len(site.requests) == 11


@pytest.mark.parametrize("there", ["file:///etc/passwd", "ftp://127.0.0.1/x", "", "http://[", "data:,x"])
def test_a_redirect_to_anything_else_is_refused(site: Site, target: Path, patience: Patience, there: str) -> None:
    site.gives(status(302, Location=there))
    with pytest.raises(SourceError, match="to redirect to http or https"):
        download(site.url, target, patience=patience)
    assert len(site.requests) == 1


def test_a_redirect_never_leaves_https() -> None:
    assert redirected("https://a.example/x", "//b.example/y") == "https://b.example/y"
    assert redirected("http://a.example/x", "https://b.example/y") == "https://b.example/y"
    with pytest.raises(SourceError, match="to redirect to https; got http://b"):
        redirected("https://a.example/x", "http://b.example/y")


def never_ending(handler: Handler) -> None:
    handler.head(200, Transfer_Encoding="chunked")
    while not handler.site.over.is_set():
        handler.chunk(CONTENT)


def test_a_body_that_never_ends_is_stopped(site: Site, target: Path, patience: Patience) -> None:
    site.gives(never_ending)
    with pytest.raises(SourceError, match=r"at most 1048576 bytes.*or more") as caught:
        download(site.url, target, size_limit=MIB, patience=patience)
    assert "size_limit" in caught.value.expected
    assert len(site.requests) == 1
    assert left(target) == set()


def test_a_body_that_says_it_is_too_large_is_not_begun(site: Site, target: Path, patience: Patience) -> None:
    site.gives(whole(b"abc", promised=10**15))
    with pytest.raises(SourceError, match=f"got {10**15}"):
        download(site.url, target, patience=patience)
    assert left(target) == set()


def test_a_body_of_just_the_limit_is_taken(site: Site, target: Path, patience: Patience) -> None:
    site.gives(whole())
    download(site.url, target, size_limit=len(CONTENT), patience=patience)
    assert target.read_bytes() == CONTENT


def trickle(handler: Handler) -> None:
    handler.head(200, Content_Length=10**6)
    while not handler.site.over.wait(0.02):
        handler.body(b"x")


def trickled_head(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.site.over.wait(0.02):
        handler.wfile.write(b"X-A: b\r\n")
        handler.wfile.flush()


def silent(handler: Handler) -> None:
    handler.head(200, Content_Length=5)
    handler.site.over.wait(600)


@pytest.mark.parametrize(
    ("answer", "limit", "fault"),
    [(trickle, "window", "too slow"), (trickled_head, "head", "ProtocolError|ReadError"), (silent, "read", "Timeout")],
)
def test_what_is_too_slow_is_ended(
    site: Site, target: Path, patience: Patience, answer: Answer, limit: str, fault: str
) -> None:
    site.gives(answer)
    with pytest.raises(SourceError, match=rf"2 failures in a row.*({fault})"):
        download(site.url, target, patience=replace(patience, attempts=2, **{limit: 0.3}))


def test_nobody_there_is_said(site: Site, target: Path, patience: Patience, waits: list[float]) -> None:
    with pytest.raises(SourceError, match="3 failures in a row, the last: ConnectError"):
        download("http://127.0.0.1:9/counts.csv", target, patience=patience)
    assert len(waits) == 2


def test_an_empty_file_is_refused(site: Site, target: Path, patience: Patience) -> None:
    site.gives(whole(b""))
    with pytest.raises(SourceError, match="got an empty one"):
        download(site.url, target, patience=patience)
    assert not target.exists()


def test_compression_on_the_way_is_undone_and_that_of_the_file_is_not(
    site: Site, target: Path, patience: Patience
) -> None:
    packed = gzip.compress(CONTENT)
    site.gives(whole(packed, Content_Encoding="gzip", ETag='"1"'))
    download(site.url, target, patience=patience)
    assert target.read_bytes() == CONTENT
    download(f"{site.url}.gz", target, patience=patience)
    assert target.read_bytes() == packed
    with pytest.raises(SourceError, match="at most 1000 bytes"):
        download(site.url, target, size_limit=1000, patience=patience)
    site.gives(whole(packed, Content_Encoding="br"))
    with pytest.raises(SourceError, match="Content-Encoding br"):
        download(site.url, target, patience=patience)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_asked(
    site: Site, target: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, site.root)
    site.gives(whole())
    download("http://counts.invalid/counts.csv", target, patience=patience)
    assert [path for path, _ in site.requests] == ["http://counts.invalid/counts.csv"]
    assert target.read_bytes() == CONTENT


def test_no_proxy_is_honoured(site: Site, target: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site.gives(whole())
    download(site.url, target, patience=patience)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("proxy", ["what://127.0.0.1:1", "http://127.0.0.1:port"])
def test_a_proxy_that_cannot_be_is_named(
    site: Site, target: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SourceError, match="ALL_PROXY"):
        download(site.url, target, patience=patience)


def test_a_folder_that_cannot_be_is_named(site: Site, tmp_path: Path, patience: Patience) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file") as caught:
        download(site.url, tmp_path / "file" / "counts.csv", patience=patience)
    assert site.url in caught.value.__notes__[0]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_on_a_terminal_alone(
    site: Site,
    target: Path,
    patience: Patience,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_terminal: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    site.gives(whole())
    download(site.url, target, patience=patience)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("counts.csv: 0.3 of 0.3 MB \n") if is_terminal else shown.err == ""


def test_a_killed_download_is_gone_on_with(site: Site, target: Path, patience: Patience) -> None:
    def stall(handler: Handler) -> None:
        handler.head(200, Content_Length=len(CONTENT), ETag='"1"')
        handler.body(CONTENT[:200_000])
        handler.site.over.wait(600)

    site.gives(stall, whole(ETag='"1"'))
    code = (
        "import sys; from pathlib import Path; from sclandmarks.io.sources.http import download;"
        "download(sys.argv[1], Path(sys.argv[2]))"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    process = subprocess.Popen([sys.executable, "-c", code, site.url, str(target)], env=environment)
    part, deadline = target.parent / "counts.csv.part", time.monotonic() + 300
    while not (part.exists() and part.stat().st_size >= 100_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not target.exists()
    size = part.stat().st_size
    download(site.url, target, patience=patience)
    assert site.asked("Range") == [None, f"bytes={size}-"]
    assert site.n_sent == 200_000 + len(CONTENT) - size
    assert target.read_bytes() == CONTENT
    assert left(target) == {"counts.csv"}
