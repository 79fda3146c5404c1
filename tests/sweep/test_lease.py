"""Leases: who is silent, by the observer's own clock; beats that go on."""

import threading

import pytest

from millis.sweep.lease import BEAT_S, LEASE_S, Observed, beating


def test_a_lease_ends_when_a_beat_stood_still_for_longer_than_it_lasts():
    now = [1000.0]
    observed = Observed(lambda: now[0])
    seen = []
    for now[0], beat in [(1000, 4), (1000 + LEASE_S, 4), (1001 + LEASE_S, 4), (1001 + LEASE_S, 5), (1002 + LEASE_S, 5)]:
        seen.append(observed.silent("a", beat))
    assert seen == [False, False, True, False, False]


def test_who_is_seen_for_the_first_time_is_not_silent_whatever_its_beat():
    now = [0.0]
    observed = Observed(lambda: now[0])
    assert not observed.silent("a", None)
    now[0] = 2 * LEASE_S
    assert observed.silent("a", None)
    assert not observed.silent("b", None)


def test_a_lease_outlasts_three_lost_beats():
    assert LEASE_S >= 4 * BEAT_S


def test_beats_go_on_after_one_that_failed_and_end_with_the_context():
    beats, third = [], threading.Event()

    def beat():
        beats.append(len(beats))
        if len(beats) == 3:
            third.set()
        raise OSError("the server is away")

    with beating(beat, every_s=0.01):
        assert third.wait(30)
    count = len(beats)
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]
    assert len(beats) == count


def test_an_error_within_is_not_swallowed():
    with pytest.raises(ValueError, match="mine"), beating(lambda: None):
        raise ValueError("mine")
