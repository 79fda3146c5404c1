"""How latency, size and memory are measured."""
