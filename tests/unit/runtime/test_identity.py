"""A process is told from every other, before and after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sclandmarks.runtime import identity
from sclandmarks.runtime.identity import boot, identify, is_alive, started


def test_this_process_lives() -> None:
    me = identify(3)
    assert (me["pid"], me["slot"], me["boot"]) == (os.getpid(), 3, boot())
    assert is_alive(me)


def test_another_process_of_the_same_number_is_another() -> None:
    assert is_alive(identify(0) | {"start": started(os.getpid()) - 1}) is False


def test_a_process_that_ended_does_not_live_even_before_its_parent_asks() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        it = identify(0) | {"pid": child.pid, "start": started(child.pid)}
        assert is_alive(it)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        assert is_alive(it) is False
    assert is_alive(it) is False


def test_of_another_machine_nothing_is_known() -> None:
    assert is_alive(identify(0) | {"boot": "other"}) is None
    assert is_alive({}) is None


def test_where_there_is_no_proc_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "PROC", Path("/absent"))
    boot.cache_clear()
    try:
        assert is_alive(identify(0)) is None
    finally:
        monkeypatch.undo()
        boot.cache_clear()
