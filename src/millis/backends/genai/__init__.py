"""What onnxruntime-genai needs of a Llama, and what it makes of it: sizes, graph, session."""
