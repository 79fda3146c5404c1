"""Texts that are read piece by piece: what is refused and leaves them as they were, many at once, plans that lie."""

import ctypes
import gc
import os
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from shaped import signature_of, transformer
from writers import VOCABULARY, planned, tokens, writer

from millis.backends.native import Native
from millis.backends.plan import file, library, words
from millis.backends.plan.builder import Integers
from millis.backends.plan.continuation import PlanDecoder
from millis.errors import MillisError

if library.missing():
    pytest.skip(str(library.missing()), allow_module_level=True)


@pytest.fixture(params=["fp32", "int8"])
def mapped(request, tmp_path):
    return planned(writer(size=16), tmp_path / "model.plan", cache=request.param)


def test_what_is_refused_leaves_the_text_as_it_was(mapped):
    native, ids = PlanDecoder(mapped), tokens(0, 6)
    text, other = native.begin(6), native.begin(6)
    text.read(ids[:4])
    for wrong, message in (
        (
            np.zeros(3, np.int64),
            "room for 6 tokens has read 4 and got 3 more: expected 1 to 2. Begin it with more room",
        ),
        (np.zeros(0, np.int64), "got 0 more: expected 1 to 2"),
        (np.zeros((1, 1), np.int64), r"tokens of shape \[1, 1\] are to be read; expected \[K\]"),
        (np.array([3, VOCABULARY]), f"token id {VOCABULARY} is outside of the model's vocabulary"),
        (np.array([-1]), "token id -1 is outside"),
        (np.array([2**40]), "token id 1099511627776 is outside"),
    ):
        with pytest.raises(MillisError, match=message):
            text.read(wrong)
    for length in (-1, 5):
        with pytest.raises(MillisError, match=f"cannot rewind to {length} tokens; expected 0 to 4, which were read"):
            text.rewind(length)
    assert text.length == 4
    assert np.array_equal(text.read(ids[4:]), other.read(ids))


@pytest.mark.parametrize("room", [0, -3])
def test_a_text_has_room(mapped, room):
    with pytest.raises(MillisError, match=f"begun with room for {room} tokens; expected at least 1"):
        PlanDecoder(mapped).begin(room)


@pytest.mark.parametrize("room", [2**24 + 1, 2**80])
def test_more_room_than_there_is_memory_for(mapped, room):
    with pytest.raises(MillisError, match=f"not enough memory for a text of {room} tokens. Begin with less room"):
        PlanDecoder(mapped).begin(room)


def test_other_plans_do_not_write(tmp_path):
    model = transformer("bert")
    Native().write(model, tmp_path, signature_of(model), None)
    with pytest.raises(MillisError, match="the plan is damaged: it is none of a model that writes token by token"):
        PlanDecoder(file.read(tmp_path / "model.plan")).begin(4)


def test_a_text_keeps_its_decoder(mapped):
    native = PlanDecoder(mapped)
    text, gone, ids = native.begin(9), weakref.ref(native), tokens(0, 9)
    expected = native.begin(9).read(ids)
    del native
    gc.collect()
    assert gone() is not None
    assert np.array_equal(text.read(ids), expected)
    del text
    gc.collect()
    assert gone() is None


def test_a_text_may_lie_where_others_have_lain(mapped):
    native, alone, chance = PlanDecoder(mapped), PlanDecoder(mapped), np.random.default_rng(0)
    under_way = []
    for seed in range(60):
        ids = tokens(seed, int(chance.integers(1, 150)))
        text = native.begin(len(ids) + int(chance.integers(0, 9)))
        under_way = [*under_way, text][-int(chance.integers(1, 4)) :]  # some end, in any order
        fresh = PlanDecoder(mapped).begin(len(ids)) if seed % 20 == 0 else alone.begin(len(ids))
        assert np.array_equal(text.read(ids, every=True), fresh.read(ids, every=True))


def test_a_text_outlives_the_handle_of_its_plan(mapped):
    native, ids = library.load(), tokens(0, 5)
    session = PlanDecoder(mapped)
    expected = session.begin(5).read(ids)
    numbers, message, wrong = words.words(mapped), ctypes.create_string_buffer(300), ctypes.c_int64()
    model = native.millis_open(
        mapped.data.ctypes.data, len(mapped.data), numbers.ctypes.data, len(numbers), library.chosen(), 1, message, 300
    )
    text = native.millis_begin(model, 5, message, 300)
    native.millis_close(model)
    found = np.empty((1, VOCABULARY), np.float32)
    code = native.millis_read(text, ids.ctypes.data, 5, 0, 0, found.ctypes.data, None, ctypes.byref(wrong))
    native.millis_end(text)
    assert code == 0 and np.array_equal(found, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_of_a_process_with_a_text_ends(mapped):
    text = PlanDecoder(mapped, threads=2).begin(40)
    text.read(tokens(0, 30))
    if (child := os.fork()) == 0:
        del text
        gc.collect()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("threads", [1, 2])
def test_many_texts_at_once(mapped, threads):
    native = PlanDecoder(mapped, threads)
    texts = [tokens(seed, 60) for seed in range(6)]
    alone = PlanDecoder(mapped)
    expected = [alone.begin(60).read(ids, every=True) for ids in texts]

    def wrong(number):
        found, ids = 0, texts[number]
        for first in (1, 30, 45):
            text = native.begin(60)
            pieces = [text.read(ids[:first], every=True), *(text.read(ids[at : at + 1]) for at in range(first, 60))]
            found += not np.array_equal(np.concatenate(pieces), expected[number])
        return found

    with ThreadPoolExecutor(6) as callers:
        assert list(callers.map(wrong, range(6))) == [0] * 6


@pytest.mark.parametrize(
    ("integers", "cache"),
    [(None, "fp32"), (Integers(127, True, ()), "fp32"), (Integers(7, True, (), 16), "fp32"), (None, "int8")],
)
def test_the_compiled_part_holds_every_number_against_memory(integers, cache, tmp_path):
    """Plans of wrong numbers are refused, or read texts within their memory: the sanitizers see to it."""
    mapped = planned(writer(size=16), tmp_path / "model.plan", integers, cache=cache)
    native, right, ids = library.load(), words.words(mapped).tolist(), tokens(0, 5)
    message, wrong_id = ctypes.create_string_buffer(300), ctypes.c_int64()
    chance, ran = np.random.default_rng(0), 0
    for _ in range(2000):
        numbers = np.array(right, np.int64)
        for place in chance.integers(0, len(right), chance.integers(1, 4)):
            numbers[place] = chance.choice([-1, 0, 1, 2, 3, 7, 16, 24, 48, 64, 2**20, 2**62, numbers[place] + 64])
        model = native.millis_open(
            mapped.data.ctypes.data, len(mapped.data), numbers.ctypes.data, len(numbers), 0, 1, message, 300
        )
        if not model:
            continue
        if text := native.millis_begin(model, 7, message, 300):
            width = int(numbers[4 + 2 * numbers[1]])
            given = ids % 3
            for before, count, every in ((0, 4, 1), (4, 1, 0), (2, 5, 0), (5, 3, 1), (-1, 1, 0), (0, 0, 0)):
                results = np.empty((max(count, 1) if every else 1, width), np.float32)  # not one row more
                native.millis_read(
                    text, given.ctypes.data, count, before, every, results.ctypes.data, None, ctypes.byref(wrong_id)
                )
            native.millis_end(text)
            ran += 1
        native.millis_close(model)
    assert ran > 200


def test_tokens_of_any_layout_are_read(mapped):
    native, ids = PlanDecoder(mapped), tokens(0, 10)
    expected = native.begin(5).read(np.ascontiguousarray(ids[::2]))
    assert np.array_equal(native.begin(5).read(ids[::2]), expected)
    assert np.array_equal(native.begin(5).read(ids[::2].astype(np.int32)), expected)
