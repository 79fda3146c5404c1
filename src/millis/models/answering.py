"""Encoder-decoders made of weights that somebody else trained: T5, BART and Marian as transformers saves them."""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, processors
from torch import Tensor

from millis.errors import MillisError
from millis.models import stacks
from millis.models.encoder_decoder import EncoderDecoder
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import over, plain
from millis.models.spec import Ids
from millis.types import Output

NEVER = -100.0  # added to the logit of what a model is never to write: e^-100 is below what fp32 adds to 1


@torch.no_grad()
def encoder_decoder(
    whole: Any, config: dict[str, Any], tokenizer: Tokenizer, around: tuple[Ids, Ids], outputs: Sequence[Output]
) -> EncoderDecoder:
    """The model of transformers' `whole`, and its tokenizer made to put the decoder's first tokens behind a text.

    Args:
        whole: A `...ForConditionalGeneration` or `MarianMTModel`.
        config: The architecture's.
        tokenizer: Changed in place (`frame`).
        around: The special tokens that it puts before and after a text.
        outputs: What the model is to give.

    Raises:
        MillisError: an architecture that is not known, tables of tokens for each side, or no token that a text begins
            or ends with.
    """
    parts = stacks.find(config["model_type"])
    if config.get("share_encoder_decoder_embeddings") is False:
        raise MillisError(
            f"this {config['model_type']!r} model has a table of token vectors for each side: expected one for both, "
            "such as of a model with one vocabulary"
        )
    starts = (_token(config, "decoder_start_token_id"), *around[0])
    frame(tokenizer, around, starts, _token(config, "eos_token_id"))
    matrix, table, bias = whole.get_output_embeddings().weight, whole.get_input_embeddings().weight, _bias(whole)
    encoder, decoder = parts.shapes(config)
    spec = EncoderDecoderSpec(
        config=config,
        encoder=encoder,
        decoder=decoder,
        cross=decoder.heads,
        affixes=(around[0], (*around[1], *starts)),
        starts=starts,
        outputs=plain(over(outputs, len(table))),
        tied=torch.equal(matrix, table),
        biased=bool(bias.any()),
    )
    model = EncoderDecoder(spec)
    inner = whole.model if hasattr(whole, "model") else whole
    names = model.encoder.state_dict().keys()
    model.encoder.load_state_dict({name: value for name, value in inner.state_dict().items() if name in names})
    (classifier,) = model.classifiers()
    if not spec.tied:
        classifier.weight.copy_(matrix)
    if spec.biased:
        classifier.bias.copy_(bias)
    return model


def frame(tokenizer: Tokenizer, around: tuple[Ids, Ids], starts: Ids, end: int) -> None:
    """Have `tokenizer` put what the decoder begins with behind a text, and behind that, of a pair, the answer and what
    ends it, with token type 1.

    Args:
        tokenizer: Changed in place.
        around: The special tokens before and after a text.
    """
    parts = {"<before>": around[0], "<after>": around[1], "<starts>": starts, "<end>": (end,)}
    known: dict[str, Any] = {
        name: {"id": name, "ids": list(ids), "tokens": [str(tokenizer.id_to_token(token)) for token in ids]}
        for name, ids in parts.items()
        if ids
    }

    def sequence(*names: str) -> str:
        return " ".join(name for name in names if not name.startswith("<") or name.split(":")[0] in known)

    tokenizer.post_processor = processors.TemplateProcessing(
        single=sequence("<before>", "$A", "<after>", "<starts>"),
        pair=sequence("<before>:0", "$A:0", "<after>:0", "<starts>:0", "$B:1", "<end>:1"),
        special_tokens=list(known.values()),
    )


def _token(config: dict[str, Any], name: str) -> int:
    found = config.get(name)
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, int):
        raise MillisError(f"the model's config has no {name}, so that it could not write: expected a token's id there")
    return found


def _bias(whole: Any) -> Tensor:
    """What is added to logits [V]: the model's own, and `NEVER` where its generation config forbids a token."""
    own = getattr(whole, "final_logits_bias", None)
    bias = (
        torch.zeros(whole.get_output_embeddings().weight.shape[0]) if own is None else own.reshape(-1).float().clone()
    )
    for words in getattr(getattr(whole, "generation_config", None), "bad_words_ids", None) or ():
        if len(words) == 1:
            bias[words[0]] = NEVER
    return bias
