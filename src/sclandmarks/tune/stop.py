"""Stopping a worker by a signal: between trials, or in the middle of one, but never in the middle of a write."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """The trial at hand is to be left; not an Exception, so that no objective takes it for a fault of its own."""


class Stop:
    """Whether a worker is to stop.

    A signal raises `Stopped` inside of `open`, else it is only noted.
    """

    def __init__(self) -> None:
        self.asked = False
        self._is_open = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as the word to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ask())

    def ask(self) -> None:
        """Stop as soon as it is safe."""
        self.asked = True
        if self._is_open:
            self._is_open = False
            raise Stopped

    @contextmanager
    def open(self) -> Iterator[None]:
        """A block that may be left at any point.

        Raises
        ------
        Stopped
            On a signal, or at once if one came before.
        """
        if self.asked:
            raise Stopped
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """A block inside of an open one that is not left in the middle: a write to the storage.

        Raises
        ------
        Stopped
            At its end, on a signal that came meanwhile.
        """
        was, self._is_open = self._is_open, False
        try:
            yield
        finally:
            self._is_open = was
        if was and self.asked:
            self._is_open = False
            raise Stopped
