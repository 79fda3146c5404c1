"""Words that mean the same, of pairs that say which do."""

import pytest

from millis.applications.translation.lexicon import Lexicon, Link, apart

THINGS = {"lamp": "Lampe", "oven": "Ofen", "phone": "Handy"}
SAID = ("big", "red", "new", "odd", "own")
PAIRS = [(f"my {one} is {how}", f"{how} ist mein {other}") for one, other in THINGS.items() for how in SAID]
PAIRS += [("so so", "naja")] * 85


def test_words_that_stand_together_are_partners_and_words_of_grammar_are_not():
    # lamp: 5 of 100 pairs, each time with Lampe, and ist in 15, more than one in twenty: Dice 1.
    assert Lexicon.of(PAIRS).partners == {one: other.lower() for one, other in THINGS.items()}


def test_dice_of_six_tenths_is_the_least():
    def pairs(together, alone):  # 2 * together / (2 * together + alone)
        return [("lamp", "lampe")] * together + [("lamp", "so")] * alone + [("so", "so")] * 400

    assert Lexicon.of(pairs(6, 8)).partners == {"lamp": "lampe"}  # 12 / 20
    assert Lexicon.of(pairs(5, 7)).partners == {}  # 10 / 17
    assert Lexicon.of(pairs(3, 0)).partners == {}  # three pairs are too few


def test_of_chinese_the_longest_run_is_a_word():
    pairs = [("我的洗碗机坏", "my dishwasher"), ("这洗碗机呢", "your dishwasher")] * 3 + [("好", "ok")] * 200
    assert Lexicon.of(pairs).partners == {"洗碗机": "dishwasher"}


def test_links_are_of_words_that_stand_once():
    lexicon = Lexicon({"lamp": "lampe", "oven": "ofen", "洗碗机": "oven"})
    assert lexicon.links("Lamp and oven", "Ofen, Lampe") == [Link((0, 4), (6, 11)), Link((9, 13), (0, 4))]
    assert lexicon.links("lamp lamp oven", "Lampe") == []
    assert lexicon.links("lamp", "Lampe Lampe lamps") == []
    assert lexicon.links("我的洗碗机", "my oven") == [Link((2, 5), (3, 7))]


@pytest.mark.parametrize(("second", "count"), [
    (Link((5, 6), (2, 9)), 1), (Link((0, 1), (5, 6)), 2), (Link((3, 5), (8, 9)), 1),
])  # fmt: skip
def test_links_that_overlap_on_either_side_are_left_out(second, count):
    assert len([*apart([Link((2, 4), (2, 4)), second])]) == count
