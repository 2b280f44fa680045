"""Servers on this machine, for tests of what comes from the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[Answer], str]


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve GET by a function, until the test ends; returns the address of the root."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as ends:

        def serve(answer: Answer) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    answer(self)

                def log_message(self, *args: object) -> None:
                    pass

            http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            http.daemon_threads = True
            threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
            ends.callback(http.server_close)
            ends.callback(http.shutdown)
            return f"http://127.0.0.1:{http.server_port}"

        yield serve
