"""Who is admitted, by numbers that a pencil follows."""

import asyncio
from threading import Event
from time import perf_counter_ns
from unittest.mock import ANY

import pytest

from millis.server.lane import Busy, Lane, ServiceTime


def test_times_are_learned_as_round_trips_are():
    """RFC 6298, 2.2 and 2.3: SRTT 8, RTTVAR 4 at first; R' 16: RTTVAR 3/4 4 + 1/4 8, SRTT 7/8 8 + 1/8 16."""
    service = ServiceTime(8.0)
    assert (service.mean_ms, service.most_ms) == (8, 8 + 4 * 4)
    service.learn(16.0)
    assert (service.mean_ms, service.most_ms) == (9, 9 + 4 * 5)


@pytest.mark.parametrize(("mean_ms", "texts"), [(8.0, 1), (2.0, 2), (0.5, 10), (0.0, 5000)])
def test_of_several_texts_as_many_go_at_once_as_take_five_milliseconds(mean_ms, texts):
    assert ServiceTime(mean_ms).slice() == texts


def in_ms(ms):
    return perf_counter_ns() + int(ms * 1e6)


def test_who_can_be_answered_in_time_is_admitted():
    told = []
    lane, service = Lane(told.append), ServiceTime(10.0)  # 10 + 4 · 5 = 30 ms at most; one text a turn
    with lane.admit(service, 3, in_ms(1)):  # nobody is before it
        assert (lane.waiting, lane.waiting_ms, lane.turns_ms) == (1, 30, 10)
        with lane.admit(service, 1, in_ms(45)):  # a turn of 10 before it, and 30
            assert (lane.waiting, lane.waiting_ms, lane.turns_ms) == (2, 40, 20)
            with pytest.raises(Busy, match="40 ms of work are waiting") as refused:
                lane.admit(service, 1, in_ms(45))  # 10 + 10, and 30
            with pytest.raises(Busy):
                lane.admit(service, 5, in_ms(105))  # all 40 before it, 4 · 10, and 30
            lane.admit(service, 5, in_ms(115)).leave()
            lane.check(25)
            with pytest.raises(Busy):
                lane.check(15)
    assert (lane.waiting, lane.waiting_ms, told) == (0, 0, [1, 2, 3, 2, 1, 0])
    assert refused.value.retry_after_s == 1 and Busy(2001).retry_after_s == 3
    lane.close()


def test_one_after_the_other_and_what_it_took_is_learned():
    order = []

    async def both():
        lane, service = Lane(), ServiceTime(1000.0)
        places = [lane.admit(service, 2, in_ms(1e6)) for _ in "ab"]
        calls = [lambda name=name: order.append(name) or name for name in "ab"]
        turns = [place.compute(call) for place, call in zip(places, calls, strict=True)]
        assert await asyncio.gather(*turns) == ["a", "b"]
        assert service.mean_ms < 1000 * (7 / 8) ** 2 + 100
        assert lane.waiting_ms == 2000, "each has had one of its two texts answered"
        lane.close()

    asyncio.run(both())
    assert order == ["a", "b"]


def test_whoever_leaves_keeps_the_place_until_the_turn_is_over():
    begun, go, ran = Event(), Event(), []

    async def leaving():
        lane, service = Lane(), ServiceTime(1.0)

        async def ask(call):
            with lane.admit(service, 1, in_ms(1e6)) as place:
                await place.compute(call)

        slow = asyncio.ensure_future(ask(lambda: begun.set() or go.wait(20)))
        second = asyncio.ensure_future(ask(lambda: ran.append("nobody waits for it")))
        await asyncio.to_thread(begun.wait, 20)
        slow.cancel()
        second.cancel()
        assert await asyncio.gather(slow, second, return_exceptions=True) == [ANY, ANY]
        assert lane.waiting == 2, "the thread has still to come to their ends"
        await asyncio.sleep(0.05)
        go.set()
        with lane.admit(service, 1, in_ms(1e6)) as place:
            before_ms = service.mean_ms
            await place.compute(lambda: None)
        assert (lane.waiting, ran) == (0, [])
        assert service.mean_ms < max(before_ms, 20), "what was left is not taken for the next one's time"
        lane.close()

    asyncio.run(leaving())


def test_what_fails_is_raised_and_teaches_nothing():
    async def failing():
        lane, service = Lane(), ServiceTime(1.0)
        with pytest.raises(ZeroDivisionError), lane.admit(service, 1, in_ms(1e6)) as place:
            await place.compute(lambda: 1 / 0)
        assert (lane.waiting, service.mean_ms) == (0, 1.0)
        lane.close()

    asyncio.run(failing())
