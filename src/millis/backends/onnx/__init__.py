"""ONNX graphs: a module becomes one, in fp32 or integers, for the runtimes that read them."""
