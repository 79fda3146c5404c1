import asyncio
import hashlib
import json
from concurrent.futures import wait
from dataclasses import replace
from queue import Full
from threading import Event

import pytest

from millis.benchmark.agent import laboratory
from millis.benchmark.agent.blobs import Blobs
from millis.benchmark.agent.laboratory import Laboratory
from millis.benchmark.agent.request import Request
from millis.benchmark.latency import Measurement, Options
from millis.errors import MillisError


class FakeBench:
    """Counts who is open and who measures; waits for `go`."""

    def __init__(self, log, go, reference, texts, options):
        self.log, self.go, self.measuring = log, go, 0
        log.append(("open", sorted(path.name for path in reference.iterdir()), texts))

    def measure(self, artifacts):
        self.measuring += 1
        assert self.measuring == 1, "two at once"
        assert self.go.wait(5)
        self.measuring -= 1
        self.log.append(("measure", *artifacts))
        if "bad" in artifacts:
            raise MillisError("it does not load")
        if "broken" in artifacts:
            raise ZeroDivisionError
        return {name: Measurement({}, {}, [], [], {}, [], {}) for name in artifacts}

    def close(self):
        self.log.append(("close",))


@pytest.fixture
def bench():
    """(what happened, an event that lets measuring go on)."""
    go = Event()
    go.set()
    return [], go


@pytest.fixture
def lab(tmp_path, bench):
    """A laboratory, and a function that sends it what a request for `names` needs."""
    for name in ("blobs", "artifacts"):
        (tmp_path / name).mkdir()
    blobs = Blobs(tmp_path / "blobs", 1000)
    made = Laboratory(tmp_path / "artifacts", blobs, lambda *given: FakeBench(*bench, *given))
    yield made
    bench[1].set()
    if made._thread.is_alive():
        made.close()
    assert list((tmp_path / "artifacts").iterdir()) == [], "something was left behind"


def keep(blobs, content):
    name = hashlib.sha256(content).hexdigest()

    async def whole():
        yield content

    asyncio.run(blobs.receive(name, whole(), len(content)))
    return name


def answer(lab, id, wait_s):
    """What is known of a request after `wait_s`: its answer, {} without one yet, None if nobody sent it."""
    if (coming := lab.answer(id)) is None:
        return None
    wait([coming], wait_s)
    return coming.result() if coming.done() else {}


def request(blobs, *names, reference="teacher"):
    def manifest(name):
        return json.dumps(
            {"name": name, "files": {f"{name}.onnx": {"sha256": keep(blobs, name.encode()), "bytes": len(name)}}}
        )

    texts = keep(blobs, json.dumps(["a", ["b", "c"]]).encode())
    return Request(manifest(reference), {name: manifest(name) for name in names}, texts, Options())


def test_one_after_the_other_and_the_reference_stays(lab, bench):
    log, go = bench
    go.clear()
    for number in range(3):
        assert lab.submit(str(number), request(lab.blobs, f"student{number}")) == []
    assert answer(lab, "0", 0.01) == {}, "not measured yet"
    go.set()
    assert [list(answer(lab, str(number), 5)["measurements"]) for number in range(3)] == [
        ["student0"], ["student1"], ["student2"]
    ]  # fmt: skip
    assert log == [
        ("open", ["manifest.json", "teacher.onnx"], ["a", ("b", "c")]),
        ("measure", "student0"), ("measure", "student1"), ("measure", "student2"),
    ]  # fmt: skip


def test_another_reference_or_other_options_take_its_place(lab, bench):
    for number, (reference, options) in enumerate([("one", Options()), ("two", Options()), ("two", Options(seed=1))]):
        lab.submit(str(number), replace(request(lab.blobs, "student", reference=reference), options=options))
        assert "measurements" in answer(lab, str(number), 5)
    assert [event[0] for event in bench[0]] == ["open", "measure", "close"] * 2 + ["open", "measure"]


def test_sent_twice_is_measured_once(lab, bench):
    one = request(lab.blobs, "student")
    assert lab.submit("0", one) == lab.submit("0", one) == []
    answer(lab, "0", 5)
    assert lab.submit("0", one) == []
    lab.close()
    assert [event for event in bench[0] if event[0] == "measure"] == [("measure", "student")]


def test_missing_files_are_named(lab):
    one = replace(request(lab.blobs, "student"), texts="f" * 64)
    assert lab.submit("0", one) == ["f" * 64]
    assert answer(lab, "0", 0) is None


def test_files_that_can_never_be_here_together_are_refused(lab):
    name = "x" * 994  # and the reference's "teacher" has 7: one more than is kept
    lab.blobs.capacity_bytes = 2000
    one = request(lab.blobs, name, "teacher")
    lab.blobs.capacity_bytes = 1000
    with pytest.raises(MillisError, match=r"take 1001 bytes together, and the agent keeps 1000 in all. .*max_kept_byt"):
        lab.submit("0", one)
    assert answer(lab, "0", 0) is None


@pytest.mark.parametrize(
    ("name", "message"), [("bad", "it does not load"), ("broken", "the agent failed: ZeroDivision")]
)
def test_a_fault_is_answered_and_the_next_one_measured_afresh(lab, bench, name, message):
    lab.submit("0", request(lab.blobs, name))
    assert answer(lab, "0", 5)["error"].startswith(message)
    lab.submit("1", request(lab.blobs, "student"))
    assert "measurements" in answer(lab, "1", 5)
    assert [event[0] for event in bench[0]] == ["open", "measure", "close", "open", "measure"]


def test_more_than_the_queue_holds(lab, bench):
    bench[1].clear()
    with pytest.raises(Full):
        for number in range(laboratory.WAITING + 3):  # one is being measured
            lab.submit(str(number), request(lab.blobs, "student"))
    assert answer(lab, str(laboratory.WAITING + 2), 0) is None


def test_what_waits_when_the_agent_stops_is_told(lab, bench):
    bench[1].clear()
    for number in range(2):
        lab.submit(str(number), request(lab.blobs, f"student{number}"))
    while lab._queue.qsize() > 1:  # the first is being measured
        pass
    bench[1].set()
    lab.close()
    told = [answer(lab, str(number), 0) for number in range(2)]
    assert all("measurements" in one or one["error"].startswith("the agent was stopped") for one in told)
    assert bench[0][-1] == ("close",)


def test_answers_nobody_fetched_are_forgotten_in_the_end(lab, monkeypatch):
    monkeypatch.setattr(laboratory, "REMEMBERED", 2)
    for number in range(5):
        lab.submit(str(number), request(lab.blobs, "student"))
        answer(lab, str(number), 5)
    assert [answer(lab, str(number), 0) is None for number in range(5)] == [True, True, False, False, False]


def test_an_idle_reference_leaves(lab, bench, monkeypatch):
    monkeypatch.setattr(laboratory, "IDLE_S", 0.01)
    lab.submit("0", request(lab.blobs, "student"))
    answer(lab, "0", 5)
    for _ in range(500):
        if ("close",) in bench[0]:
            break
        Event().wait(0.01)
    assert bench[0][-1] == ("close",)
