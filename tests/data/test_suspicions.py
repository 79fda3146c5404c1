"""Labels that look like something else."""

import pytest

from millis.data.suspicions import hint, label_notes, refuse_other_tasks
from millis.errors import MillisError


def refusal(names):
    with pytest.raises(MillisError) as caught:
        refuse_other_tasks(names, "train.csv: column 'label'")
    return str(caught.value)


def test_many_numbers_with_decimals_are_amounts():
    assert refusal([f"{i / 5:.1f}" for i in range(21)]) == (
        "train.csv: column 'label' holds 21 different numbers with decimals (0.0, 0.2, 0.4, ...): amounts to predict, "
        "not labels. Choose task=regression, or give every row one of a few labels, such as a range"
    )
    refuse_other_tasks([f"{i / 2}" for i in range(1, 21)], "")  # marks from 0.5 to 10
    refuse_other_tasks([str(i) for i in range(500)], "")
    refuse_other_tasks([f"{i:05d}" for i in range(500)], "")
    refuse_other_tasks([f"{i:,}" for i in range(900, 9000, 100)], "")  # 1,000 is a whole number


@pytest.mark.parametrize("joined", ["fruit|sky", "fruit, sky", "sky; fruit"])
def test_labels_joined_in_one_cell_are_several(joined):
    assert refusal(["fruit", "sky", joined]).startswith(
        f"train.csv: column 'label' holds {joined!r}, which is several labels at once: '"
    )


@pytest.mark.parametrize("joint", "|;")
def test_a_part_in_two_places_is_a_label(joint):
    assert refusal([f"fruit{joint}sky", f"metal{joint}fruit"]).startswith(
        f"train.csv: column 'label' holds 'fruit{joint}sky', which is several labels at once: "
        f"'fruit' is also in 'metal{joint}fruit'. Choose task=multi_label, or give every row one label"
    )
    refuse_other_tasks([f"food{joint}fruit", f"food{joint}meat", f"other{joint}other", "food"], "")
    refuse_other_tasks(["fruit, sky", "metal, fruit"], "")


def test_names_with_such_characters_are_classes_and_said():
    names = {"food|fruit": 3, "food|meat": 3, "home, garden": 3, ";": 3}
    refuse_other_tasks(names, "")
    assert label_notes(names, "label") == ["label 'food|fruit' is one class, and not several labels (2 such labels)"]


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["TRUE", "true"], "labels 'TRUE' and 'true' differ in case, and each is a class of its own (1 such pairs)"),
        (["a b", "a\u00a0b"], r"labels 'a b' and 'a\xa0b' differ in blanks, and each"),
        (["sky", "sky\u200b"], r"labels 'sky' and 'sky\u200b' differ in characters that look alike, and each"),
        (["\uff33ky", "Sky"], "labels '\uff33ky' and 'Sky' differ in characters that look alike"),
        (["1.0", "1", "1.5"], "labels '1.0' and '1' differ in how the number is written"),
        (["N/A", "sky"], "label 'N/A' is a class (5 training rows), and not a missing label"),
        (["0.5", "1.5"], "the numbers in column 'label' are 2 classes; for numbers choose task=regression"),
    ],
)
def test_what_is_rarely_meant_is_said(names, note):
    assert any(found.startswith(note) for found in label_notes(dict.fromkeys(names, 5), "label"))


@pytest.mark.parametrize("name", ["-", "?", "unknown", "Unknown", "NULL", "missing"])
def test_words_that_often_say_that_there_is_no_label_are_said(name):
    notes = label_notes({name: 1, "sky": 5}, "label")
    assert notes == [f"label {name!r} is a class (1 training rows), and not a missing label"]


def test_labels_with_a_row_each_are_said():
    counts = {f"order {i}": 1 for i in range(21)}
    assert label_notes(counts, "label") == ["21 of 21 labels have one training row: is 'label' the column of labels?"]
    assert label_notes(dict.fromkeys(counts, 2), "label") == []


@pytest.mark.parametrize(
    ("label", "hinted"),
    [
        ("true", " (did you mean 'TRUE', which differs in case?)"),
        ("late\u00a0parcel", " (did you mean 'late parcel', which differs in blanks?)"),
        ("re\u0301clamation\u200b", " (did you mean 'réclamation', which differs in characters that look alike?)"),
        ("2.0", " (did you mean '2', which differs in how the number is written?)"),
        ("refunds", " (did you mean 'refund'?)"),
        ("r\u0435fund", r" (did you mean 'refund'?) ('r\u0435fund')"),  # a Cyrillic letter
        ("sky", ""),
        ("refund", ""),
    ],
)
def test_a_hint_names_what_eyes_do_not_see(label, hinted):
    assert hint(label, ["TRUE", "late parcel", "réclamation", "2", "refund"]) == hinted
