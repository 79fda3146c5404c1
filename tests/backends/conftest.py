"""Artifacts small enough to write in each test, and every runtime that can run here."""

from artifacts import backend, large, manifest, ngrams, static, tokenizer, write

__all__ = ["backend", "large", "manifest", "ngrams", "static", "tokenizer", "write"]
