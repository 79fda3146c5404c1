"""Names and indices: numbers as names, numbers as indices, and where both could be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.data.labels import Labels, fractions, whole
from millis.errors import MillisError


def test_whole_numbers_are_written_with_digits_alone():
    assert [whole(text) for text in ("7", "-1", "7.0", "0")] == [7, -1, 7, 0]
    assert [whole(text) for text in ("07", "7.5", "7.", "+7", "seven", "", "9" * 101)] == [None] * 7


@given(st.sets(st.integers(-(10**12), 10**12), min_size=2))
def test_whole_numbers_are_sorted_by_number(numbers):
    labels = Labels.learned(map(str, numbers))
    assert labels.names == tuple(map(str, sorted(numbers)))
    assert all(labels.names[labels.find(f"{number}.0")] == str(number) for number in numbers)


@given(st.integers(2, 300))
def test_numbers_without_gaps_are_their_own_indices(count):
    labels = Labels.learned(str(number) for number in range(count))
    assert [labels.find(str(number)) for number in range(count + 1)] == [*range(count), None]


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (["b", "10", "9"], ("10", "9", "b")),  # not all numbers: by their letters
        (["0.5", "10.5", "9.5"], ("0.5", "9.5", "10.5")),
        (["1.0", "1.5"], ("1.0", "1.5")),  # as they stand, for not all are whole
        (["01067", "10115", "01097"], ("01067", "01097", "10115")),  # codes keep their zeros
    ],
)
def test_other_names(found, names):
    assert Labels.learned(found).names == names


def test_a_number_is_an_index_where_names_have_no_numbers():
    labels = Labels.given(["World", "Sports"], "labels.txt", ["0", "1"])
    assert [labels.find(label) for label in ("Sports", "1", "1.0", "2", "-1", "Art")] == [1, 1, 1, None, None, None]


@pytest.mark.parametrize(
    ("found", "index"),
    [
        (["1", "3"], 0),  # 3 is no index of three names: the numbers are names
        (["0", "1"], 1),  # 0 is no name: the numbers are indices
    ],
)
def test_where_names_are_numbers_the_training_labels_decide(found, index):
    assert Labels.given(["1", "2", "3"], "labels.txt", found).find("1") == index


def test_numbers_that_can_be_both_are_refused():
    with pytest.raises(MillisError) as caught:
        Labels.given(["1", "2", "3"], "labels.txt", ["1", "2"])
    assert str(caught.value) == (
        "label 1 can be the name '1' in labels.txt, or the index of its name '2'. "
        "Remove labels.txt if names are meant; write names for indices if they are"
    )
    assert Labels.given(["0", "1", "other"], "labels.txt", ["0", "1"]).find("1") == 1  # the same in both ways


def test_minus_one_is_none_unless_it_is_a_name():
    assert Labels.learned(["0", "1"]).withholds("-1")
    assert not Labels.learned(["-1", "1"]).withholds("-1")
    assert Labels.learned(["0", "1"]).withholds(None)


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["a", "b", "a"], "label names occur twice: a. Every name needs its own index"),
        (["e\u0301", "\u00e9"], "label names occur twice: \u00e9"),
        (["a", " ", "b"], "labels.txt: name 2 is empty; expected one name a line"),
        (["a"], r"classification needs at least 2 labels, found \['a'\]"),
    ],
)
def test_names_that_cannot_be(names, fault):
    with pytest.raises(MillisError, match=fault):
        Labels.given(names, "labels.txt", ())


def test_fractions_are_numbers_not_all_whole():
    assert fractions(["0,5", "1", "-2e-1"])
    assert not fractions(["1.0", "2"]) and not fractions(["0.5", "good"]) and not fractions(["01067", "01097"])
