"""Catalogues and histories as they lie in folders."""

import json

import pytest

from millis.applications.recommendation.interactions import Asked, Columns, read_histories, read_items
from millis.errors import MillisError

COLUMNS = Columns("item", "user", "time", ("title", "genres"))
ITEMS = [{"item": name, "title": f"Title {name}", "genres": ["x", "y"]} for name in "abcde"]


def write(folder, name, rows):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def taken(*rows):
    return [dict(zip(("user", "item", "time"), row, strict=True)) for row in rows]


def test_an_items_text_is_its_columns(tmp_path):
    write(tmp_path, "items", [*ITEMS, {"item": "f", "title": "Alone", "genres": []}])
    items = read_items(tmp_path, COLUMNS)
    assert items.ids == ("a", "b", "c", "d", "e", "f")
    assert items.texts[0] == "Title a. x, y"
    assert items.texts[5] == "Alone"


def test_the_last_is_a_test_the_one_before_it_validation_by_time_over_all_files(tmp_path):
    write(tmp_path, "items", ITEMS)
    write(tmp_path, "train", taken(("u", "c", 30), ("u", "a", 10), ("v", "e", 1)))
    write(tmp_path, "test", taken(("u", "b", 20), ("u", "d", 40), ("v", "d", 2), ("u", "a", 50)))
    found = read_histories(tmp_path, COLUMNS, read_items(tmp_path, COLUMNS))
    assert found.train == [(0, 1), (4, 3)]  # a was taken first at 10; v has too few to be asked about
    assert found.validation == [Asked((0, 1), 2)]
    assert found.test == [Asked((0, 1, 2), 3)]


def test_without_times_the_order_of_rows_counts(tmp_path):
    write(tmp_path, "items", ITEMS)
    write(tmp_path, "interactions", [{"user": 1, "item": item} for item in "dcb"])
    assert read_histories(tmp_path, COLUMNS, read_items(tmp_path, COLUMNS)).test == [Asked((3, 2), 1)]


@pytest.mark.parametrize(("items", "rows", "message"), [
    (None, [], "has no file items with one of .jsonl"),
    ([], [], "the catalogue has 0 items: expected at least two to choose from"),
    ([{"id": "a", "title": "x"}] * 2, [], "has no column 'item': found id, title"),
    ([*ITEMS, ITEMS[0]], [], "row 6: 'a' stands twice in column 'item'"),
    ([{"item": "a", "title": ""}, ITEMS[1]], [], "row 1: column 'title' is empty: expected what the item is called"),
    ([{"item": "", "title": "x"}, ITEMS[1]], [], "row 1: column 'item' is empty: expected a name"),
    ([{"item": "a", "title": {"x": 1}}, ITEMS[1]], [], "row 1: column 'title' holds an object"),
    (ITEMS, None, "has no file interactions or train or validation or test"),
    (ITEMS, taken(("u", "z", 1)), "row 1: item 'z' is not in the catalogue"),
    (ITEMS, taken(("u", "a", "noon")), "row 1: column 'time' holds 'noon': expected a number, such as seconds"),
    (ITEMS, [{"user": ["u"], "item": "a"}], "row 1: column 'user' holds a list"),
    (ITEMS, taken(("u", "a", 1), ("u", "b", 2)), "no user took 3 items"),
])  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path, items, rows, message):
    for name, given in (("items", items), ("interactions", rows)):
        if given is not None:
            write(tmp_path, name, given)
    with pytest.raises(MillisError) as error:
        read_histories(tmp_path, COLUMNS, read_items(tmp_path, COLUMNS))
    assert message in str(error.value)
