"""Virtual assistant: a command with typed arguments, understood anew with every word that arrives."""
