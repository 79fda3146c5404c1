"""Items are answered by several threads, and come in their order."""

import threading

import pytest

from millis.applications.pool import RunnerPool


def test_items_come_in_their_order_whichever_is_done_first():
    later = threading.Event()

    def ask(runner, item):
        if item == 0:
            assert later.wait(10)  # until the others are done
        if item == 3:
            later.set()
        return runner, item

    found = [*RunnerPool(["a", "b"]).each(ask, range(5))]
    assert [item for _, item in found] == [0, 1, 2, 3, 4]
    assert {runner for runner, _ in found} <= {"a", "b"}


def test_a_runner_answers_one_at_a_time():
    pool, busy, both = RunnerPool([[], []]), [], threading.Barrier(2, timeout=10)

    def ask(runner, item):
        assert runner not in busy or runner == []
        both.wait()  # two at once, never more: another pair could not pass
        return item

    assert [*pool.each(ask, range(8))] == [*range(8)]


def test_no_more_is_begun_than_is_ahead_of_whoever_reads():
    taken, asked = [], []
    items = (taken.append(item) or item for item in range(100))
    found = RunnerPool(["a", "b"]).each(lambda runner, item: asked.append(item) or item, items, ahead=1)
    assert next(found) == 0
    found.close()
    assert len(taken) <= 4 and max(asked) < 4


@pytest.mark.parametrize("runners", [["a"], ["a", "b"]])
def test_what_fails_is_raised_and_the_pool_goes_on(runners):
    pool = RunnerPool(runners)
    with pytest.raises(ZeroDivisionError):
        [*pool.each(lambda runner, item: 1 // item, [1, 0, 1])]
    assert [*pool.each(lambda runner, item: item, [1, 2])] == [1, 2]
