"""Texts in: sources, tokenised splits, batches."""
