"""Factorization: matrices as products of smaller ones, and tables without the rows a task never reads."""
