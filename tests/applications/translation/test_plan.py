"""The corpus that ships, what the part reads of it, and what is settled."""

import json

import pytest
from tiny import millis
from translations import translation_application

from millis.applications.manifest import open_application
from millis.applications.translation.placeholders import MARKS
from millis.applications.translation.plan import Translation
from millis.errors import MillisError
from millis.pipeline.application import put_together


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The corpus, cut short."""
    folder = tmp_path_factory.mktemp("corpus")
    Translation({}).write_corpus(folder)
    for split, count in (("train", 400), ("validation", 20), ("test", 30)):
        file = folder / f"{split}.jsonl"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:count]))
    return folder


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("zh", "en")])
def test_the_part_reads_rows_with_placeholders_and_learns_to_carry_them_over(corpus, tmp_path, source, target):
    plan = Translation({}, source, target)
    plan.check(corpus)
    plan.prepare(corpus, tmp_path)
    rows = {split: [json.loads(line) for line in (tmp_path / f"{split}.jsonl").read_text().splitlines()]
            for split in ("train", "validation", "test")}  # fmt: skip
    assert [len(rows["validation"]) >= 20, len(rows["test"]) >= 30] == [True, True] and 500 < len(rows["train"]) < 900
    marked = [row for row in rows["train"] if MARKS & set(row["source"])]
    assert len(marked) > 60
    for row in marked:
        assert sorted(MARKS & set(row["source"])) == sorted(MARKS & set(row["target"]))
    (given,) = plan.inputs(corpus, tmp_path).values()
    assert given == [
        "task=translation", "task.target=target", "data=local", f'data.path="{tmp_path}"', "data.text=source"
    ]  # fmt: skip
    (plain,) = Translation({}, source, target, placeholders=False).inputs(corpus, tmp_path).values()
    assert plain[1] == f"task.target={target}" and plain[3:] == [f'data.path="{corpus}"', f"data.text={source}"]


@pytest.mark.parametrize(("source", "target", "scripts", "blanks", "metric"), [
    ("en", "de", ["LATIN"], True, "bleu"), ("zh", "en", ["CJK"], True, "bleu"),
    ("en", "zh", ["LATIN"], False, "bleu_zh"),
])  # fmt: skip
def test_how_languages_are_written_is_seen_in_the_corpus(corpus, tmp_path, source, target, scripts, blanks, metric):
    plan = Translation({}, source, target, {"lamp": "Leuchte"}, judged=3, most_characters=9)
    assert plan.settle(corpus, {}, tmp_path) == {
        "source": source, "target": target, "scripts": scripts, "blanks": blanks, "metric": metric,
        "glossary": {"lamp": "Leuchte"}, "placeholders": True, "most_characters": 9,
    }  # fmt: skip
    rows = plan.rows(corpus)
    assert len(rows) == 3 and plan.requests(rows) == [row["source"] for row in rows]


@pytest.mark.parametrize(("change", "message"), [
    ({"target": "en"}, "app.source and app.target are both 'en': expected two columns"),
    ({"judged": 0}, "app.judged and app.most_characters are at least 1"),
    ({"most_characters": 0}, "app.judged and app.most_characters are at least 1"),
    ({"glossary": {"a": "b", "A": "c"}}, "the glossary: the term 'A' is to be both 'b' and 'c'"),
    ({"glossary": "none.csv"}, "glossary none.csv is not there, or is no table"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(MillisError, match=message):
        Translation({}, **change)


def test_it_is_put_together_judged_and_answers_piece_by_piece(corpus, tmp_path, capsys):
    made = translation_application(tmp_path / "made") / "translate"
    plan = Translation({}, glossary={"parcel": "Sendung"}, judged=5)
    measures = put_together(plan, corpus, {"translate": made}, tmp_path / "app", plan.rows(corpus))
    manifest = open_application(tmp_path / "app")
    assert manifest.judged == {one.name: one.value for one in measures} and "bleu" in manifest.judged
    assert (manifest.kind, manifest.settings["glossary"]) == ("translation", {"parcel": "Sendung"})
    assert manifest.recipe["source"] == "en" and manifest.recipe["glossary"] == {"parcel": "Sendung"}
    assert millis(tmp_path, "predict", f"artifact={tmp_path / 'app'}", "--", "4821. The parcel. 一。") == 0
    said = capsys.readouterr().out.replace("\n", " ")
    assert "4821. The parcel. 一。 4821. " in said and "sentence 2 is not in 'en', and left as it stands" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Привет", r"test row 2: no sentence of the text is in 'en'"),
        ("a\0b", r"test row 2: character 1 of the text is U\+0000"),
        ("long " * 30, r"test row 2: the text has 150 characters: expected at most 100 at once"),
    ],
)
def test_a_test_row_that_would_not_be_translated_is_refused_before_training(tmp_path, text, message):
    rows = [{"en": "The lamp is old.", "de": "Die Lampe ist alt."}, {"en": text, "de": "Die Lampe."}]
    for split in ("train", "validation", "test"):
        kept = rows if split == "test" else rows[:1]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    with pytest.raises(MillisError, match=message):
        Translation({}, most_characters=100).check(tmp_path)


def test_a_corpus_without_a_language_is_refused(corpus, tmp_path):
    with pytest.raises(MillisError, match="has no column 'fr'"):
        Translation({}, target="fr").check(corpus)
    with pytest.raises(MillisError, match="has no file train"):
        Translation({}).check(tmp_path)
