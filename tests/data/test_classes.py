"""Classes of a column beside a list of names."""

import pytest
from tables import table

from millis.data.classes import under
from millis.errors import MillisError


def classes(own, names):
    found = under({"train": [table([{"label": 0}], label=own, other=["x"])]}, "label", names, "labels.txt")
    return dict(found["train"][0].classes)


@pytest.mark.parametrize(
    ("own", "names", "kept"),
    [
        (["b", " a"], ["a", "b"], True),
        (["re\u0301cit"], ["r\u00e9cit"], True),
        (["0", "1"], ["a", "b"], False),
        (["0", "1"], ["1", "0"], True),
    ],
)
def test_classes_are_names_or_indices(own, names, kept):
    assert classes(own, names) == ({"label": own} if kept else {}) | {"other": ["x"]}


@pytest.mark.parametrize("own", [["1", "0"], ["a", "c"], ["0", "c"]])
def test_other_classes_are_refused(own):
    with pytest.raises(
        MillisError, match=r"^train\.csv: column 'label' has the class '.', which is none of the 2 names"
    ):
        classes(own, ["a", "b"])
