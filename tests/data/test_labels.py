"""Names and indices: numbers as names, numbers as indices, and where both could be meant."""

from collections import Counter

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


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (["1", "1.0", "2.5"], ("1", "2.5")),
        (["1.5", "1.50", "0.5", "+1.5", "1,5", "15e-1"], ("0.5", "1,5")),
        (["2.0", "2", "good"], ("2", "good")),
        (["01", "1", "1.0", "01.0", "x"], ("01", "01.0", "1", "x")),  # codes
        (["1,000", "1", "1000"], ("1", "1,000", "1000")),  # a thousand, or one with decimals
    ],
)
def test_spellings_of_one_number_are_one_label(found, names):
    labels = Labels.learned(found)
    assert labels.names == names
    assert None not in map(labels.find, found)


def test_another_spelling_of_a_trained_number_is_that_number():
    labels = Labels.learned(["1.0", "1.5", "01"])
    assert [labels.find(label) for label in ("1", "1.50", "01", "1.00", "2")] == [1, 2, 0, 1, None]


def test_a_number_is_an_index_where_names_have_no_numbers():
    labels = Labels.given(["World", "Sports"], "labels.txt", {"0": 1, "1": 1})
    assert [labels.find(label) for label in ("Sports", "1", "1.0", "2", "-1", "Art")] == [1, 1, 1, None, None, None]


@pytest.mark.parametrize(
    ("names", "bare", "label", "index"),
    [
        (["1", "2", "3"], ["1", "3"], "1", 0),  # 3 is no index of three names: the numbers are names
        (["1", "2", "3"], ["0", "1"], "1", 1),  # 0 is no name: the numbers are indices
        (["0", "1", "other"], ["0", "1"], "1", 1),  # the same in both ways
        (["00", "01"], ["0", "1"], "1", 1),  # so too
        (["01", "02"], ["0", "1"], "1", 1),  # indices
        (["01", "02"], ["0", "1"], "01", 0),  # a code is its name
        (["01", "02", "03"], ["1", "2", "3"], "1", None),  # no indices, but not the spelling of names either
        (["10", "20"], ["10", "20", "10", "0"], "10", 0),  # most rows are names
        (["10", "20"], ["0", "1", "10"], "1", 1),  # most rows are indices
    ],
)
def test_where_names_are_numbers_the_labels_of_all_splits_decide(names, bare, label, index):
    assert Labels.given(names, "labels.txt", Counter(bare)).find(label) == index


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (["1", "2", "3"], "the name '1' in labels.txt, or the index of its name '2'"),
        (["01", "02", "03"], "the name '01' in labels.txt, or the index of its name '02'"),
    ],
)
def test_numbers_that_can_be_both_are_refused(names, readings):
    with pytest.raises(MillisError) as caught:
        Labels.given(names, "labels.txt", {"1": 1, "2.0": 1})
    assert str(caught.value) == (
        f"label 1 can be {readings}. Remove labels.txt if names are meant; write names for indices if they are"
    )


def test_classes_that_are_numbers_are_names():
    names, origin = ["1", "2", "3"], "the classes of column 'label'"
    with pytest.raises(MillisError, match=r"Write names that are no numbers, or give every file the same classes$"):
        Labels.given(names, origin, {"1": 5}, names)
    labels = Labels.given(names, origin, {"0": 5, "1": 5}, names)
    assert [labels.find(label) for label in ("0", "1")] == [None, 0]
    assert Labels.given(["0", "1"], origin, {"0": 5, "1": 5}, ["0", "1"]).find("1") == 1


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
        (["a", "b", "\u200b"], "labels.txt: name 3 is empty"),
        (["a"], r"expected at least 2 labels, found \['a'\]"),
    ],
)
def test_names_that_cannot_be(names, fault):
    with pytest.raises(MillisError, match=fault):
        Labels.given(names, "labels.txt", {})


def test_fractions_are_numbers_not_all_whole():
    assert fractions(["0,5", "1", "-2e-1"])
    assert not fractions(["1,000", "2,500", "900"])  # thousands
    assert fractions(["1,125", "0,5"]) and fractions(["0,125", "2"])
    assert not fractions(["1.0", "2"]) and not fractions(["0.5", "good"]) and not fractions(["01067", "01097"])
