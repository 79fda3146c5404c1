"""Bundled corpus: requests to the customer service of an invented shop and telecom company, made by a grammar."""
