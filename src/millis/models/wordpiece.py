"""A WordPiece tokenizer (Schuster and Nakajima 2012) learned from texts: the same texts give the same tokenizer.

Behind BERT's normaliser, which puts spaces around CJK characters, so languages without spaces work too; pairs read
`[CLS] a [SEP] b [SEP]` with token types 0 and 1.

The trainer of `tokenizers` numbers the pieces it starts from ("a", "##a") in the order of a randomly seeded hash map,
and ties between merges are broken by number, so two runs differ. Here these pieces are counted, chosen and numbered
first, which leaves nothing to chance.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from millis.errors import MillisError
from millis.types import Text, parts_of

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
INSIDE = "##"  # marks a piece that continues a word


def train(texts: Sequence[Text], vocab_size: int, lowercase: bool) -> Tokenizer:
    """Learn the pieces of `texts`.

    Args:
        texts: Of the training split.
        vocab_size: Upper bound of V, special tokens included.
        lowercase: Whether to fold case and strip accents.

    Returns:
        A tokenizer with padding and truncation off; `[PAD]` is 0.

    Raises:
        MillisError: no texts.
    """
    normalizer = normalizers.BertNormalizer(lowercase=lowercase, handle_chinese_chars=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = Counter(
        word
        for text in texts
        for part in parts_of(text)
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(part))
    )
    if not words:
        raise MillisError(
            "model=scratch learns its vocabulary from the training texts, and there are none: check `data`"
        )
    tokenizer = Tokenizer(models.WordPiece(_pieces(words, vocab_size), unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece(prefix=INSIDE)
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _pieces(words: Counter[str], vocab_size: int) -> dict[str, int]:
    """Piece → id, at most `vocab_size` of them: special tokens, characters, then merges by frequency."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    # A character may need two pieces, "a" and "##a", and must fit; the rarest go, and words with them are [UNK].
    limit = (vocab_size - len(SPECIAL_TOKENS)) // 2
    alphabet = sorted(sorted(counts, key=lambda character: (-counts[character], character))[:limit])
    inside = sorted({character for word in words for character in word[1:]} & set(alphabet))
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL_TOKENS, *(INSIDE + character for character in inside)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=INSIDE,
        show_progress=False,
    )
    trained.train_from_iterator(_repeated(words), trainer)
    pieces: dict[str, int] = trained.get_vocab(with_added_tokens=False)
    return pieces


def _repeated(words: Counter[str]) -> Iterator[str]:
    """Each word as often as it occurs, one line a word."""
    for word, count in words.items():
        yield " ".join([word] * count)
