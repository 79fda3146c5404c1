import os
import time

import pytest

from millis.waiting import Waited, Waiting, _open, split, waited, waited_ns


@pytest.fixture
def account(tmp_path):
    """An account of fake files, and how to write what the kernel would: the thread's delay, the group's throttling."""
    schedstat, stat = tmp_path / "schedstat", tmp_path / "cpu.stat"

    def say(delay_ns, throttled_us):
        schedstat.write_text(f"123 {delay_ns} 45\n")
        stat.write_text(f"usage_usec 9\nthrottled_usec {throttled_us}\n")

    say(0, 40)
    return Waiting(_open(schedstat), [_open(stat)]), say


def test_sleeping_is_not_waiting_for_the_cpu():
    if not os.path.exists("/proc/thread-self/schedstat"):  # noqa: PTH110
        pytest.skip("this system does not tell")
    before, start = waited_ns(), time.perf_counter_ns()
    time.sleep(0.05)
    assert waited_ns() - before < (time.perf_counter_ns() - start) / 2
    assert waited().others == pytest.approx(waited_ns(), rel=0.5, abs=1e8)


def test_a_system_that_does_not_tell_counts_no_wait():
    assert Waiting(None, [])() == Waited(0, 0)


def test_a_wait_is_split_by_hand():
    assert split(10, 4) == Waited(others=6, throttled=4)
    assert split(10, 0) == Waited(10, 0)
    assert split(10, 25) == Waited(0, 10)  # other threads of the group were held back as well


def test_what_the_quota_held_back_is_told_apart(account):
    waiting, say = account
    assert waiting() == Waited(0, 0)
    say(100_000, 40)  # another process
    assert waiting() == Waited(100_000, 0)
    say(350_000, 240)  # 250 µs more, 200 of them by the quota
    assert waiting() == Waited(150_000, 200_000)
    say(350_000, 900)  # other threads alone were held back
    assert waiting() == Waited(150_000, 200_000)
