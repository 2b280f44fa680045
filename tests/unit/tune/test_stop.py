"""Stopping: at once inside of an open block, never inside of a shielded one."""

from __future__ import annotations

import os
import signal

import pytest

from sclandmarks.tune.stop import Stop, Stopped


def test_between_trials_a_word_to_stop_is_only_noted() -> None:
    stop = Stop()
    stop.ask()
    assert stop.asked
    with pytest.raises(Stopped), stop.open():
        raise AssertionError("not entered")


def test_an_open_block_is_left_at_once() -> None:
    stop, reached = Stop(), []
    with pytest.raises(Stopped), stop.open():
        reached.append(1)
        stop.ask()
        reached.append(2)
    assert reached == [1]


def test_a_shielded_block_is_finished_first() -> None:
    stop, reached = Stop(), []
    with pytest.raises(Stopped), stop.open():
        with stop.shielded():
            stop.ask()
            reached.append("written")
        reached.append("after")
    assert reached == ["written"]


def test_a_shielded_block_outside_of_an_open_one_raises_nothing() -> None:
    stop = Stop()
    with stop.shielded():
        stop.ask()
    assert stop.asked


def test_no_fault_of_an_objective_catches_it() -> None:
    stop = Stop()
    with pytest.raises(Stopped), stop.open():
        try:
            stop.ask()
        except Exception:
            raise AssertionError("caught as a fault") from None


def test_signals_are_the_word() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = Stop()
    try:
        stop.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
