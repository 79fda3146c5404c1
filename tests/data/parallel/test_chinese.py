"""Chinese: measure words, the particle of what is done, and sentences without blanks."""

import re

import pytest

from millis.data.parallel.chinese import done, noun_phrase, plain
from millis.data.parallel.generate import corpus
from millis.data.parallel.lexicon import POSSESSIONS, THINGS


@pytest.mark.parametrize(("arguments", "expected"), [
    (("台灯", "盏", "a", "", ""), "一盏台灯"), (("台灯", "盏", "a", "新", ""), "一盏新台灯"),
    (("台灯", "盏", "", "蓝色的", "两"), "两盏蓝色的台灯"), (("台灯", "盏", "this", "", ""), "这盏台灯"),
    (("台灯", "盏", "this", "", "+"), "这些台灯"), (("台灯", "盏", "this", "", "三"), "这三盏台灯"),
    (("台灯", "盏", "the", "", ""), "台灯"), (("台灯", "盏", "the", "", "+"), "那些台灯"),
    (("台灯", "盏", "the", "", "两"), "那两盏台灯"), (("台灯", "盏", "我的", "", ""), "我的台灯"),
    (("台灯", "盏", "我的", "蓝色的", ""), "我的蓝色台灯"),
    (("台灯", "盏", "我的", "蓝色的", "两"), "我的两盏蓝色的台灯"),
    (("手机", "部", "您的", "", "", "Kestrel-5"), "您的Kestrel-5手机"),
])  # fmt: skip
def test_phrases(arguments, expected):
    assert noun_phrase(*arguments) == expected


def test_what_is_done():
    assert (plain("退回‖台灯"), done("退回‖台灯")) == ("退回台灯", "退回了台灯")


def test_every_measure_word_in_the_corpus_is_that_of_its_noun():
    measures = {}
    for thing in [*THINGS, *POSSESSIONS.values()]:
        measures.setdefault(thing.chinese, set()).add(thing.measure)
    nouns = "|".join(sorted(measures, key=len, reverse=True))
    counted = re.compile(
        rf"(?<!期)(?:[一两三四五六十]|这)(?!些)([^\W\d_])(?:新|旧|大|小|[黑白蓝红绿灰]色的)?(?:[A-Z][a-z]+-[A-Z0-9]+)?({nouns})"
    )
    found = [pair for rows in corpus().values() for row in rows for pair in counted.findall(row.text.chinese)]
    assert len(found) > 1500 and len({noun for _, noun in found}) > 50
    wrong = {(measure, noun) for measure, noun in found if measure not in measures[noun]}
    assert not wrong


def test_sentences_in_the_corpus_are_written_as_chinese_is():
    # Latin letters and digits are those of names, numbers and SIM cards.
    copied = re.compile(r"LK-\d{6}|K-\d{5}|[A-Z][a-z]+-[A-Z0-9]+|SIM|\d+(?:\.\d+)?")
    for row in (row for rows in corpus().values() for row in rows):
        bare = copied.sub("", row.text.chinese)
        assert re.fullmatch(r"[\u4e00-\u9fff，。？]+", bare), row.text.chinese
        assert row.text.chinese[-1] in "。？" and "了了" not in bare and "的的" not in bare, row.text.chinese
