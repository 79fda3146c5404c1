"""Integer arithmetic: what is asked for."""
