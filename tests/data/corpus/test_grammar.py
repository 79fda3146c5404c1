"""The template language, on templates small enough to expand by hand."""

import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.data.corpus.grammar import SPLITS, expand, pick, read_clauses, read_sections, read_slots, read_templates


def expansions(text: str, slots: dict[str, list[str]]) -> set[str]:
    return {expand(text, slots, Random(seed)) for seed in range(200)}


def test_a_choice_yields_each_alternative_and_an_empty_one_leaves_no_gap() -> None:
    assert expansions("(please |)stop (it|that)", {}) == {"please stop it", "please stop that", "stop it", "stop that"}
    assert expansions("stop it (now|), thanks", {}) == {"stop it now, thanks", "stop it, thanks"}
    assert expansions("can you stop (now|)?", {}) == {"can you stop now?", "can you stop?"}


def test_slots_are_filled_also_inside_choices_and_hashes_become_digits() -> None:
    slots = {"colour": ["red", "blue"], "ref": ["4##"]}
    assert expansions("a <colour> (pen|<colour> cup)", slots) == {
        "a red pen",
        "a blue pen",
        *(f"a {one} {other} cup" for one in ("red", "blue") for other in ("red", "blue")),
    }
    assert all(re.fullmatch(r"order 4\d\d", text) for text in expansions("order <ref>", slots))


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError, match="color"):
        expand("a <color> pen", {"colour": ["red"]}, Random(0))


@given(st.lists(st.integers(), min_size=1), st.integers())
def test_pick_returns_an_option(options: list[int], seed: int) -> None:
    assert pick(Random(seed), options) in options


def test_sections_keep_order_and_skip_comments_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("# about\n\n[b]\none\n\n# more\ntwo\n[a]\n#3\n")
    assert list(read_sections(path).items()) == [("b", ["one", "two"]), ("a", ["#3"])]


def test_every_bundled_line_expands_to_plain_text() -> None:
    slots = read_slots()
    texts = [t.text for split in SPLITS for templates in read_templates(split).values() for t in templates]
    texts += [
        c.text for split in SPLITS for place in ("greeting", "before", "after") for c in read_clauses(split, place)
    ]
    for text in texts:
        sentence = expand(text, slots, Random(0))
        assert sentence
        assert not set(sentence) & set("()|<>#[]!"), text


def test_barred_intents_exist() -> None:
    intents = set(read_templates("train"))
    for split in SPLITS:
        for place in ("greeting", "before", "after"):
            for clause in read_clauses(split, place):
                assert clause.barred <= intents, clause.text
