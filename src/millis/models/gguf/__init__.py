"""Models from GGUF files, the format of llama.cpp: what a file holds, as a Llama of transformers and a tokenizer."""
