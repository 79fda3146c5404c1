"""The runtimes of whoever names none."""

from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime

RUNTIMES = (Native(), OnnxRuntime())
"""The preferred one first: millis' own where it is built and can run the model, else ONNX Runtime."""
