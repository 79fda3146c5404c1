"""Answers sampled from a module of PyTorch, a batch at once: what a student writes while it trains.

Each token is drawn from the model's own distribution, without temperature or filters. Keys and values are kept: prompts
are padded on the right, as batches are, padding is masked out for good, and what is written lies behind it at the place
that it has in its text.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache

from millis.models.encoder_decoder import EncoderDecoder, taken_apart


class _Reader(Protocol):
    """Texts under way."""

    def read(self, tokens: Tensor | None = None) -> Tensor:
        """What comes after `tokens` [B], one of each text, or first of all after the prompts; logits [B, V]."""
        ...


@torch.no_grad()
def sampled(model: Any, prompts: Tensor, mask: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Tokens [B, T] that `model` writes behind its prompts, T at most `most`, and which of them belong to its text,
    [B, T]: what lies behind an end is any token.

    Draws are of PyTorch's generator. The model samples as it answers: without dropout, whatever its mode.

    Args:
        model: A `Transformer` that says what comes next, or an `EncoderDecoder`.
        prompts: Token ids [B, S], padded on the right; of an encoder-decoder with the tokens that its decoder begins
            with.
        mask: 1 at tokens, [B, S].
        most: Tokens of an answer, its end included.
    """
    ends = torch.tensor(model.spec.ends, dtype=torch.long, device=prompts.device)
    written, kept = list[Tensor](), list[Tensor]()
    with _evaluated(model):
        reader: _Reader = (_Sides if isinstance(model, EncoderDecoder) else _Texts)(model, prompts, mask)
        logits = reader.read()
        under_way = torch.ones(len(prompts), dtype=torch.bool, device=prompts.device)
        while True:
            chosen = torch.multinomial(logits.float().softmax(dim=-1), 1).squeeze(1)
            written.append(chosen)
            kept.append(under_way)
            under_way = under_way & ~torch.isin(chosen, ends)
            if len(written) == most or not bool(under_way.any()):
                return torch.stack(written, dim=1), torch.stack(kept, dim=1)
            logits = reader.read(chosen)


class _Texts:
    """Of a decoder."""

    def __init__(self, model: Any, prompts: Tensor, mask: Tensor) -> None:
        self._model, self._prompts, self._mask, self._cache = model, prompts, mask, DynamicCache()
        self._places = mask.sum(dim=1)  # of the next token of each text

    def read(self, tokens: Tensor | None = None) -> Tensor:
        if tokens is None:
            ids, places = self._prompts, (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        else:
            ids, places = tokens[:, None], self._places[:, None]
            self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=1)
            self._places = self._places + 1
        states = self._model.encoder(
            input_ids=ids, attention_mask=self._mask, position_ids=places, cache=self._cache, use_cache=True
        ).last_hidden_state
        last = self._places - 1 if tokens is None else torch.zeros_like(self._places)
        (head,) = self._model.classifiers()
        logits: Tensor = head(states[torch.arange(len(ids), device=ids.device), last])
        return logits


class _Sides:
    """Of an encoder-decoder; what its decoder begins with is as long for every text."""

    def __init__(self, model: EncoderDecoder, prompts: Tensor, mask: Tensor) -> None:
        sides = taken_apart(prompts, mask, None, len(model.spec.starts))
        self._model, self._begin, self._mask = model, sides.written, sides.source_mask
        self._states = model.encoder.encoder(input_ids=sides.source, attention_mask=self._mask).last_hidden_state
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def read(self, tokens: Tensor | None = None) -> Tensor:
        states = self._model.encoder.decoder(
            input_ids=self._begin if tokens is None else tokens[:, None],
            encoder_hidden_states=self._states,
            encoder_attention_mask=self._mask,
            cache=self._cache,
            use_cache=True,
        ).last_hidden_state
        return self._model.answered(states[:, -1])


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    """Every part in evaluation mode, and each in its own again afterwards."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
