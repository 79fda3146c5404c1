"""The tokenizer: pairs, scripts, limits, and the same result in every process."""

import subprocess
import sys

from millis.models.wordpiece import train

ENGLISH = ["The cat sat on the mat.", "A dog barked at the cat!", ("Is the dog here?", "No, it left.")] * 5
CHINESE = ["今天天气很好", "我喜欢喝茶", "天气不好我不喜欢"] * 5


def test_pairs_get_two_token_types():
    tokenizer = train(ENGLISH, 120, lowercase=True)
    encoding = tokenizer.encode("the cat", "a dog")
    middle = encoding.tokens.index("[SEP]") + 1
    assert encoding.tokens.count("[SEP]") == 2
    assert encoding.type_ids == [0] * middle + [1] * (len(encoding.ids) - middle)


def test_padding_and_truncation_are_off_and_empty_text_is_two_tokens():
    tokenizer = train(ENGLISH, 120, lowercase=True)
    assert tokenizer.padding is None and tokenizer.truncation is None
    assert tokenizer.encode("").tokens == ["[CLS]", "[SEP]"]


def test_chinese_is_read_character_by_character():
    tokenizer = train(CHINESE, 100, lowercase=True)
    assert tokenizer.encode("今天很好").tokens == ["[CLS]", "今", "天", "很", "好", "[SEP]"]


def test_more_than_a_thousand_characters_are_known():
    """The trainer's own limit is 1,000 characters; 2,000 different ones must all survive."""
    texts = ["".join(chr(0x4E00 + i) for i in range(start, start + 20)) for start in range(0, 2000, 20)]
    tokenizer = train(texts, 8192, lowercase=True)
    assert tokenizer.token_to_id("[UNK]") not in tokenizer.encode(texts[-1]).ids


def test_lowercase_is_a_choice():
    assert "the" in train(ENGLISH, 120, lowercase=True).encode("THE").tokens
    assert "The" in train(ENGLISH, 120, lowercase=False).encode("The").tokens


def test_same_texts_give_the_same_tokenizer_in_every_process():
    script = f"from millis.models.wordpiece import train\nprint(train({ENGLISH!r}, 60, lowercase=True).to_str())"
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(2)
    ]
    assert {run.stdout.strip() for run in runs} == {train(ENGLISH, 60, lowercase=True).to_str()}


def test_first_merges_by_hand():
    """ab x 3, abc x 2, b: pieces ##b ##c, a b c, then the commonest pair a+##b (5 times), then ab+##c (2 times)."""
    vocabulary = train(["ab ab ab abc abc b"], 100, lowercase=True).get_vocab()
    expected = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##b", "##c", "a", "b", "c", "ab", "abc"]
    assert sorted(vocabulary, key=vocabulary.get) == expected


def test_vocabulary_never_exceeds_its_bound():
    """Twelve letters, all inside words too, in 15 places: 5 letters and their ##pieces fit beside 5 special tokens."""
    tokenizer = train(["abcdefghijkl lkjihgfedcba"], 15, lowercase=True)
    assert tokenizer.get_vocab_size() <= 15
    assert tokenizer.encode("l").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_marks_in_the_text_are_no_special_tokens():
    """A literal ##a is two hashes and a letter."""
    tokenizer = train(["a ##a ba #"] * 3, 100, lowercase=True)
    assert tokenizer.encode("##a").tokens == ["[CLS]", "#", "#", "a", "[SEP]"]
