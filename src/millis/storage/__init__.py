"""How artifacts lie on disk."""
