"""Summaries of texts of any length: sentences that are chosen, or what a model writes of these."""
