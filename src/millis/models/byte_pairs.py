"""A byte-level BPE tokenizer learned from texts (Sennrich et al. 2016, 1508.07909; over bytes as GPT-2, Radford et al.
2019): every text can be read and is written again as it was. The same texts give the same tokenizer.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from millis.errors import MillisError
from millis.types import Text, parts_of

PAD, BEGIN, END, TURN = SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<turn>")
SMALLEST = len(SPECIAL_TOKENS) + 256  # special tokens, and a token for each byte


def check_size(vocab_size: int) -> None:
    """Refuse a vocabulary without room for a merge.

    Raises:
        MillisError: as said.
    """
    if vocab_size <= SMALLEST:
        raise MillisError(
            f"model.vocab_size={vocab_size} holds only the {SMALLEST} bytes and special tokens: use some thousands"
        )


def train(texts: Sequence[Text], vocab_size: int, replies: bool = False) -> Tokenizer:
    """Learn the merges of `texts`.

    Args:
        texts: Of the training split.
        vocab_size: Upper bound of V, special tokens and the 256 bytes included.
        replies: Whether a text is one that another is written to. Then `<turn>` stands after it, and in a pair the
            other and `</s>` after that, with token type 1.

    Returns:
        A tokenizer with padding and truncation off, which puts `<s>` before a text and `</s>` after it; `<pad>` is 0.

    Raises:
        MillisError: no texts.
    """
    parts = [part for text in texts for part in parts_of(text)]
    if not any(parts):
        raise MillisError("the vocabulary is learned from the training texts, and there are none: check `data`")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(parts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {TURN if replies else END}",
        pair=f"{BEGIN}:0 $A:0 {TURN}:0 $B:1 {END}:1",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in (BEGIN, END, TURN)],
    )
    return tokenizer
