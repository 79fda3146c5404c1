"""Metrics of texts, against the packages that the field reports with, and by pencil where numbers are small."""

import builtins
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from millis import metrics
from millis.errors import MillisError
from millis.metrics import bleu as bleu_module
from millis.metrics.bleu import Bleu
from millis.metrics.bleu_zh import BleuZh
from millis.metrics.bootstrap import interval, paired_difference_interval
from millis.metrics.chrf import Chrf
from millis.metrics.contract import items, matched, plain, weighted
from millis.metrics.rouge_1 import Rouge1
from millis.metrics.rouge_2 import Rouge2
from millis.metrics.rouge_l import RougeL
from millis.record import Record

ENGLISH = [
    ("The parcel is on its way.", "The parcel is already on its way."),
    (
        "Please send me the bill, order no. 4,711!",
        ("Please send the invoice for order no. 4,711.", "Send me the bill!"),
    ),
    ("", "I have been waiting for two weeks."),
    ('It\'s "free" & costs 3.50 EUR-ish', ('It\'s "free" &amp; costs 3.50 EUR-ish.', "", "It is free.")),
    ("ok", "Ok."),
]
GERMAN = [
    ("Die Lieferung kommt am Freitag an.", "Die Sendung trifft am Freitag ein."),
    ("Für größere Straßen ändern wir's.", ("Wir ändern das für größere Straßen.", "Wir ändern's.")),
]
CHINESE = [
    ("我的包裹在哪里？", "我的包裹现在在哪里？"),
    ("请把账单发到 a@b.de。", ("请将账单发送至 a@b.de。", "把账单发过来。")),
    ("", "我已经等了两个星期。"),
]
EVERY = [Bleu(), BleuZh(), Chrf(), Rouge1(), Rouge2(), RougeL()]
WORD = st.sampled_from(
    ["the", "cats", "cat", "sat", "on", "a", "mat.", "grün", "3,5", "(x)", "猫坐", "don't", "walking"]
)
TEXT = st.lists(WORD, max_size=9).map(" ".join)
REFERENCE = st.one_of(TEXT, st.lists(TEXT, min_size=1, max_size=3).map(tuple))
PAIRS = st.lists(st.tuples(TEXT, REFERENCE), min_size=1, max_size=8)


def columns(pairs):
    return [list(column) for column in zip(*pairs, strict=True)]


def streams(references):
    """References as sacreBLEU takes them: the first of every text, the second, ..., None where there is none."""
    several = [(one,) if isinstance(one, str) else one for one in references]
    return [[one[place] if place < len(one) else None for one in several] for place in range(max(map(len, several)))]


def by_sacrebleu(package, pairs):
    answers, references = columns(pairs)
    return package.corpus_score(answers, streams(references)).score


def worth(metric, pairs):
    return plain(metric, *matched(*columns(pairs)))


def test_bleu_by_hand():
    # 6 words against 7. Right: 6 of 6 words, 4 of 5 pairs, 3 of 4, 2 of 3 ("." is a word); penalty exp(1 - 8/7).
    answer, right = "The parcel is on its way.", "The parcel is already on its way."
    assert Bleu().statistics(items([answer]), items([right])).tolist() == [[7, 8, 7, 5, 3, 1, 7, 6, 5, 4]]
    expected = 100 * np.exp(1 - 8 / 7) * (7 / 7 * 5 / 6 * 3 / 5 * 1 / 4) ** (1 / 4)
    assert worth(Bleu(), [(answer, right)]) == pytest.approx(expected)


def test_orders_without_a_match_count_half_a_quarter_and_so_on():
    # One word of four is right: 1/4, then 1/2 of 3 pairs, 1/4 of 2, 1/8 of 1.
    assert worth(Bleu(), [("a b c d", "a x y z")]) == pytest.approx(100 * (1 / 4 * 1 / 6 * 1 / 8 * 1 / 8) ** (1 / 4))
    assert worth(Bleu(), [("a b c d", "w x y z")]) == 0
    assert worth(Bleu(), [("a b c", "a b c")]) == 0  # nothing has four words, as sacreBLEU says of such a corpus


@pytest.mark.parametrize("pairs", [ENGLISH, GERMAN, ENGLISH + GERMAN, CHINESE], ids=["en", "de", "both", "zh"])
def test_corpora_are_worth_what_sacrebleu_says(pairs):
    assert worth(Bleu(), pairs) == pytest.approx(by_sacrebleu(BLEU(), pairs), rel=1e-12)
    assert worth(BleuZh(), pairs) == pytest.approx(by_sacrebleu(BLEU(tokenize="zh"), pairs), rel=1e-12)
    assert worth(Chrf(), pairs) == pytest.approx(by_sacrebleu(CHRF(), pairs), rel=1e-12)


@given(PAIRS)
def test_any_texts_are_worth_what_sacrebleu_says(pairs):
    for metric, package in ((Bleu(), BLEU()), (BleuZh(), BLEU(tokenize="zh")), (Chrf(), CHRF())):
        # Where all references are empty the package says 0.
        assert np.nan_to_num(worth(metric, pairs)) == pytest.approx(by_sacrebleu(package, pairs), rel=1e-9, abs=1e-9)


@given(PAIRS)
def test_any_texts_are_worth_what_rouge_score_says(pairs):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    said = [scorer.score_multi((right,) if isinstance(right, str) else right, answer) for answer, right in pairs]
    for metric in (Rouge1(), Rouge2(), RougeL()):
        expected = 100 * np.mean([scores[metric.rouge].fmeasure for scores in said])
        assert np.nan_to_num(worth(metric, pairs)) == pytest.approx(expected)


def test_rouge_by_hand():
    # Four words and five, two of them shared, for "walks" and "walked" are two words: F = 2·2/(4 + 5). No pair is; in
    # order "the dog" is longest, and of "dog the" one word.
    answer, right = "the dog walks home", "the small dog walked away"
    assert worth(Rouge1(), [(answer, right)]) == pytest.approx(100 * 4 / 9)
    assert worth(Rouge2(), [(answer, right)]) == 0
    assert worth(Rouge2(), [("a small dog", right)]) == pytest.approx(100 * 2 / 6)
    assert worth(RougeL(), [(answer, right)]) == pytest.approx(100 * 4 / 9)
    assert worth(RougeL(), [("dog the", right)]) == pytest.approx(100 * 2 / 7)


def test_of_several_references_the_best_counts():
    for metric in (Rouge1(), Rouge2(), RougeL(), Chrf()):
        both = worth(metric, [("a dog barks", ("it rains a lot", "a dog barks"))])
        assert both == worth(metric, [("a dog barks", "a dog barks")]) == pytest.approx(100)
    assert worth(Rouge1(), [("a dog", ("a cat", "dog"))]) == pytest.approx(100 * 2 / 3)


def test_answers_without_words_are_worth_nothing():
    for metric in EVERY:
        assert worth(metric, [("", "the parcel is on its way")]) == 0


def test_where_nothing_is_right_to_begin_with_a_metric_is_undefined():
    for metric in EVERY:
        assert np.isnan(worth(metric, [("a b c d", "")]))
        assert np.isnan(plain(metric, items([]), items([])))
    for metric in (Rouge1(), Rouge2(), RougeL()):
        assert np.isnan(worth(metric, CHINESE[:1]))  # no word of English
    with pytest.raises(MillisError, match="bleu is undefined on these 1 references: they hold none of the items"):
        metrics.value("bleu", Bleu(), ["a"], [""])


@given(PAIRS, st.data())
def test_a_text_drawn_twice_counts_twice(pairs, data):
    counts = data.draw(st.lists(st.integers(0, 2), min_size=len(pairs), max_size=len(pairs)).filter(any))
    drawn = [pair for pair, count in zip(pairs, counts, strict=True) for _ in range(count)]
    for metric in EVERY:
        found = weighted(metric, *matched(*columns(pairs)), np.array([counts], float))[0]
        assert found == pytest.approx(worth(metric, drawn), rel=1e-9, abs=1e-9, nan_ok=True)


def test_intervals_and_differences_follow():
    answers, references = columns((ENGLISH + GERMAN) * 5)
    for metric in (Bleu(), Chrf(), Rouge1()):
        low, high = interval(metric, answers, references, resamples=200)
        assert 0 < low < worth(metric, ENGLISH + GERMAN) < high < 100
        right = [one if isinstance(one, str) else one[0] for one in references]
        low, high = paired_difference_interval(metric, right, answers, references, resamples=200)
        assert 0 < low < high <= 100
        assert paired_difference_interval(metric, answers, answers, references, resamples=20) == (0, 0)


@pytest.mark.parametrize("metric", EVERY, ids=lambda one: type(one).__name__)
def test_records_carry_texts_and_the_signature(metric):
    name = next(name for name in metrics.shipped() if metrics.kind(name) is type(metric))
    answers, references = columns(ENGLISH)
    record = Record(
        id="a", name="a", kind="student", metrics={}, intervals={}, quality=name, config={}, seed=0, artifact="",
        predictions=answers, references=references, latency_ms=[], reference_latency_ms=[], stages_ms={}, parity={},
        environment={}, judged=metrics.judged({name: metric}),
    )  # fmt: skip
    read = Record.from_json(record.to_json())
    assert read == record and read.references[1] == list(ENGLISH[1][1])
    assert metrics.metric_of([read]) == metric and metrics.kinds_of(read) == {"written"}
    again = matched(read.predictions, read.references)
    assert plain(metric, *again) == worth(metric, ENGLISH)
    settings = json.loads(record.to_json())["judged"][name]["settings"]
    if isinstance(metric, Bleu | Chrf):
        package = CHRF() if isinstance(metric, Chrf) else BLEU(tokenize=metric.tok)
        package.corpus_score(["a"], [["a"]])
        signature = dict(part.split(":") for part in str(package.get_signature()).split("|"))
        assert {key: str(value) for key, value in settings.items()} == {key: signature[key] for key in settings}
        assert set(signature) - set(settings) == {"nrefs", "version"}
    else:
        assert settings == {"stemmer": "none"}


def test_a_record_of_another_signature_is_refused():
    with pytest.raises(MillisError, match="tok is 'intl': invalid enum value 'intl'"):
        metrics.schema.checked({**asdict(Bleu()), "tok": "intl"}, Bleu)


@pytest.mark.parametrize(("answers", "references", "message"), [
    ([1], ["a"], "got 1 answers for 1 references, such as"),
    ([("a", "b")], ["a"], r"got \('a', 'b'\) as an answer; expected a text, for the metric judges what was written"),
    (["a"], [()], r"got \(\) as a reference; expected a text, or several in a tuple"),
    (["a"], [("a", 1)], r"got \('a', 1\) as a reference; expected a text, or several in a tuple"),
    (["a", "b"], ["a"], "got 2 answers for 1 references"),
])  # fmt: skip
def test_what_is_no_text_is_refused(answers, references, message):
    with pytest.raises(MillisError, match=message):
        metrics.value("bleu", Bleu(), answers, references)


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge_l"])
def test_a_package_that_is_not_installed_is_named(name, monkeypatch):
    package = metrics.kind(name).package
    monkeypatch.setattr("millis.metrics._written.find_spec", lambda _: None)
    with pytest.raises(MillisError) as caught:
        metrics.named(name, (), "written")
    assert str(caught.value) == (f"texts are judged with {package}, which is not installed: pip install 'millis[text]'")


def test_a_record_that_is_read_where_a_package_is_missing_says_so(monkeypatch):
    kept = builtins.__import__

    def without(name, *rest):
        if name.startswith("sacrebleu"):
            raise ImportError(name)
        return kept(name, *rest)

    bleu_module._scorer.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MillisError, match="texts are judged with sacrebleu, which is not installed"):
        Bleu().statistics(items(["never seen before"]), items(["a"]))


def test_other_metrics_do_not_judge_texts():
    with pytest.raises(MillisError) as caught:
        metrics.named("accuracy", (), "written")
    assert str(caught.value) == (
        "task.metric=accuracy judges label, and this task answers written a text. Choose one of bleu, bleu_zh, chrf, "
        "rouge_1, rouge_2, rouge_l"
    )
    with pytest.raises(MillisError, match=r"task\.metric=blue is unknown to tasks that answer written a text"):
        metrics.named("blue", (), "written")
