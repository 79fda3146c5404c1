"""One thin entry a command."""
