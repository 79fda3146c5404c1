"""A module that says what comes next → an ONNX graph that writes, in fp32 or integers (`millis.backends.onnx.causal`).

The graph is compared with the module: whole texts, as all graphs are (`millis.backends.tracing`), and a text that is
read in pieces, some of them rewound.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from millis.backends.onnx.arithmetic import arithmetic
from millis.backends.onnx.causal import graph
from millis.backends.onnx.decoder import OnnxDecoder
from millis.backends.onnx.export import require
from millis.backends.onnx.quantize import quantize
from millis.backends.onnx.session import open_inference
from millis.backends.onnx.tied import share
from millis.backends.scratch import fp32_bytes, scratch
from millis.backends.tracing import agree, difference, quiet
from millis.errors import MillisError
from millis.models.encoder import Transformer
from millis.quantization.ptq import prepare
from millis.quantization.spec import Quantization
from millis.types import Features, Signature

ONE_RANGE = (
    "tokens that are read at once share one range of activations, so a text is less exact in one piece than token by "
    "token; quantization=weight_only_8 rounds each token by itself"
)
PIECES = (4, 1, 1, 3)  # how many tokens are read at a time, where a text is read in pieces


def export_decoder(
    model: Any,
    path: Path,
    signature: Signature,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
) -> tuple[str, ...]:
    """Write `model` to `path`.

    Args:
        model: A `Transformer` in evaluation mode whose one output says which token comes next.
        path: The `.onnx` file.
        signature: The model's.
        quantization: What becomes integers, see `millis.backends.onnx.quantize`; or None.
        calibration: Texts, where `quantization` needs them.

    Returns:
        What a reader of the record should know, a sentence each.

    Raises:
        MillisError: `onnx` or `onnxruntime` is not installed, the model has a part that has no form here, the graph
            does not compute what the module does, or calibration texts are missing. `MachineFault` where TMPDIR or
            memory has no room for it.
    """
    require("onnx", "onnxruntime")
    if not isinstance(model, Transformer) or model.spec.shape is None:
        raise MillisError(
            f"backend=onnxruntime cannot write a {type(model).__name__} as a decoder: expected a transformer whose "
            "parts are known (millis.models.anatomy). Use backend=eager"
        )
    with scratch(fp32_bytes(model)) as folder, quiet():
        if quantization is None:
            save(graph(model), path, model)
            _check(model, path, signature)
            return ()
        prepared = prepare(model, quantization, arithmetic(quantization), calibration)
        chosen: Any = prepared.model
        plain, rounded = folder / "model.onnx", folder / "rounded.onnx"
        save(graph(chosen), plain)
        decoder = _check(chosen, plain, signature)
        notes = quantize(plain, rounded, prepared, quantization, [decoder.feeds(text) for text in prepared.requests])
        kept = getattr(chosen, "quantization", {})
        settled = any(name.startswith("head.") for name in kept)  # training gave table and matrix integers of their own
        save(load(rounded), path, None if settled else chosen)
        return (*notes, ONE_RANGE) if quantization.activations == "dynamic" else notes


def _check(model: Any, path: Path, signature: Signature) -> OnnxDecoder:
    """The graph at `path`, opened.

    Raises:
        MillisError: it does not compute what `model` does.
    """
    decoder = OnnxDecoder(*open_inference(path, threads=1))
    if (fault := difference(model, decoder, signature) or _steps_differ(model, decoder)) is not None:
        raise MillisError(f"the ONNX graph does not agree with the model: {fault}. Use backend=eager")
    return decoder


def load(path: Path) -> Any:
    """The ONNX model at `path`."""
    import onnx

    return onnx.load(str(path))


def save(made: Any, path: Path, tied: Any = None) -> None:
    """Write an ONNX model, the table of `tied` stored once where it is the output matrix too, and neither has integers
    of its own."""
    import onnx

    if tied is not None:
        names = {id(module): name for name, module in tied.named_modules()}
        (head,), table = tied.classifiers(), tied.encoder.get_input_embeddings()
        both = [f"{names[id(one)]}.weight" for one in (table, head)]
        settled = getattr(tied, "quantization", {})
        if head.weight is table.weight and not any(f"{name}.values" in settled for name in both):
            share(made, *both)
    onnx.save(made, str(path))


def _steps_differ(model: Transformer, decoder: OnnxDecoder) -> str | None:
    """Where a text that is read in pieces errs; None where it does not."""
    tokens = np.arange(min(sum(PIECES), decoder.context)) % min(3, decoder.vocabulary)
    ids = torch.from_numpy(tokens)[None]
    with torch.inference_mode():
        expected = model(ids, torch.ones_like(ids))[0].numpy()
    text = decoder.begin(len(tokens))
    for count in PIECES:
        start = text.length
        end = min(start + count, len(tokens))
        if start == end:
            break
        text.read(tokens[start:end])
        text.rewind(start)
        got = text.read(tokens[start:end], every=True)
        if not agree(got, expected[start:end]):
            by = np.abs(got - expected[start:end]).max()
            return f"logits differ by {by:.1g} where tokens {start} to {end - 1} are read after those before"
    return None
