"""Leaving out what a model can do without: scored, masked while it trains, then cut away."""
