"""Slips and sentence case, on words that can be checked by eye."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from millis.data.corpus.typing_habits import NEIGHBOURS, add_slips, slip, tidy, type_out


def test_neighbours_of_a_key_in_the_middle_and_at_both_ends() -> None:
    assert (NEIGHBOURS["s"], NEIGHBOURS["q"], NEIGHBOURS["p"], NEIGHBOURS["m"]) == ("ad", "w", "o", "n")


def test_all_slips_of_a_word_are_the_four_kinds() -> None:
    # lamp: the slip hits "a" or "m", never the first or the last letter.
    assert {slip("lamp", Random(seed)) for seed in range(300)} == {
        *("lsmp", "lmp", "laamp", "lmap"),
        *("lanp", "lap", "lammp", "lapm"),
    }


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=12), st.integers())
def test_a_slip_keeps_first_and_last_letter_or_swaps_the_end(word: str, seed: int) -> None:
    slipped = slip(word, Random(seed))
    assert slipped[0] == word[0]
    assert abs(len(slipped) - len(word)) <= 1


def test_short_words_and_numbers_are_left_alone() -> None:
    assert add_slips("my pin is 48213 ok", 2, Random(0)) == "my pin is 48213 ok"


def test_tidy_capitalises_sentences_and_the_first_person() -> None:
    assert tidy("hi, i think i'm lost. what now?") == "Hi, I think I'm lost. What now?"
    assert tidy("i like wi-fi") == "I like wi-fi."


def test_habits_occur_as_often_as_stated() -> None:
    # Only "here" is long enough to slip, and not while a comma follows it.
    typed = [type_out("i'm here, and it is so", Random(seed)) for seed in range(2000)]
    careful = sum(text == "I'm here, and it is so." for text in typed) / len(typed)
    lower = sum(text == "i'm here, and it is so" for text in typed) / len(typed)
    bare = sum(text == "im here and it is so" for text in typed) / len(typed)
    # Standard error 0.011 at most: four of them. With the comma stripped "here" can slip, so `bare` is 0.08 * 0.80.
    assert abs(careful - 0.62) < 0.045
    assert abs(lower - 0.30) < 0.042
    assert abs(bare - 0.064) < 0.025
