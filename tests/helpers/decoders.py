"""Decoders that need no model: logits that follow from the tokens before, and one of transformers as a reference."""

import zlib

import numpy as np

from millis.errors import MillisError


class Written:
    """A continuation whose logits after a token follow from the last `memory` tokens; it counts what is asked of it."""

    def __init__(self, decoder, room):
        self._decoder, self._room = decoder, room
        self.tokens, self.reads = [], []

    @property
    def length(self):
        return len(self.tokens)

    def read(self, tokens, every=False):
        assert tokens.dtype == np.int64
        assert tokens.ndim == 1
        assert len(tokens)
        if len(self.tokens) + len(tokens) > self._room:
            raise MillisError(f"{len(self.tokens)} + {len(tokens)} tokens, room for {self._room}")
        rows = []
        for token in tokens.tolist():
            self.tokens.append(token)
            rows.append(self._decoder.logits(self.tokens))
        self.reads.append(len(tokens))
        return np.stack(rows if every else rows[-1:])

    def rewind(self, length):
        assert 0 <= length <= len(self.tokens)
        del self.tokens[length:]


class HashedDecoder:
    """Logits are drawn from a generator whose seed is a hash of the last `memory` tokens (all of them: 0).

    The shorter the memory, the sooner a greedy text repeats itself.
    """

    def __init__(self, size=20, memory=0, seed=0):
        self.size, self.memory, self.seed = size, memory, seed
        self.begun = []

    def logits(self, tokens):
        seen = np.array([self.seed, *tokens[-self.memory :]], np.int64)
        return np.random.default_rng(zlib.crc32(seen.tobytes())).normal(size=self.size).astype(np.float32)

    def begin(self, room):
        self.begun.append(Written(self, room))
        return self.begun[-1]


class Scripted(HashedDecoder):
    """The n-th token of a text is the n-th of a list, whatever was read: its logit is 1, others are 0."""

    def __init__(self, tokens, size=20):
        super().__init__(size)
        self._script = list(tokens)

    def logits(self, tokens):
        return np.eye(self.size, dtype=np.float32)[self._script[len(tokens)]]


class LlamaDecoder:
    """A small `LlamaForCausalLM` with random weights, as `model` and as a decoder with a cache of transformers."""

    def __init__(self, size=50, seed=0, sharp=1.0):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=48, max_position_embeddings=128, bos_token_id=0, eos_token_id=None, pad_token_id=None,
            initializer_range=0.5 * sharp,
        )  # fmt: skip
        self.size, self.model = size, LlamaForCausalLM(config).eval()

    def begin(self, room):
        return _Cached(self.model, room)


class _Cached:
    def __init__(self, model, room):
        from transformers import DynamicCache

        self._model, self._room, self._cache = model, room, DynamicCache()

    @property
    def length(self):
        return self._cache.get_seq_length()

    def read(self, tokens, every=False):
        import torch

        assert self.length + len(tokens) <= self._room
        with torch.inference_mode():
            found = self._model(torch.from_numpy(tokens)[None], cache=self._cache, use_cache=True)
        logits = found.logits[0].float().numpy()
        return logits if every else logits[-1:]

    def rewind(self, length):
        if length < self.length:
            self._cache.crop(length - self.length)
