"""Who is admitted, by numbers that a pencil follows."""

import asyncio
from time import perf_counter_ns

import pytest

from millis.server.lane import Busy, Lane, ServiceTime


def test_times_are_learned_as_round_trips_are():
    """RFC 6298, 2.2 and 2.3: SRTT 8, RTTVAR 4 at first; R' 16: RTTVAR 3/4 4 + 1/4 8, SRTT 7/8 8 + 1/8 16."""
    service = ServiceTime(8.0)
    assert (service.mean_ms, service.deviation_ms, service.most_ms) == (8, 4, 24)
    service.learn(16.0)
    assert (service.mean_ms, service.deviation_ms, service.most_ms) == (9, 5, 29)


@pytest.mark.parametrize(("mean_ms", "texts"), [(8.0, 1), (2.0, 2), (0.5, 10), (0.0, 5000)])
def test_of_several_texts_as_many_go_at_once_as_take_five_milliseconds(mean_ms, texts):
    assert ServiceTime(mean_ms).slice() == texts


def in_ms(ms):
    return perf_counter_ns() + int(ms * 1e6)


def test_who_can_be_answered_in_time_is_admitted():
    lane, service = Lane(), ServiceTime(10.0)  # 10 + 4 · 5 = 30 ms at most
    with lane.admit(service, 3, in_ms(1)):  # nobody is before it
        assert (lane.waiting, lane.waiting_ms) == (1, 30)
        with lane.admit(service, 1, in_ms(65)):  # 30 before it, and 30
            assert (lane.waiting, lane.waiting_ms) == (2, 40)
            with pytest.raises(Busy, match="40 ms of work are waiting") as refused:
                lane.admit(service, 1, in_ms(65))
            with pytest.raises(Busy):
                lane.admit(service, 5, in_ms(105))  # 40 before it, 4 · 10, and 30
            lane.admit(service, 5, in_ms(115))
    assert (lane.waiting, lane.waiting_ms) == (0, 0)
    assert refused.value.retry_after_s == 1 and Busy(2001).retry_after_s == 3
    lane.close()


def test_one_after_the_other_and_what_it_took_is_learned():
    order = []

    async def both():
        lane, service = Lane(), ServiceTime(1000.0)
        calls = [lambda name=name: order.append(name) or name for name in "ab"]
        assert await asyncio.gather(*(lane.compute(call, service) for call in calls)) == ["a", "b"]
        assert service.mean_ms < 1000 * (7 / 8) ** 2 + 100
        lane.close()

    asyncio.run(both())
    assert order == ["a", "b"]
