"""An encoder-decoder → the two ONNX graphs that write, in fp32 or integers (`millis.backends.onnx.stacks`).

The graphs are compared with the module: a text that is read in pieces, some of them rewound.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from millis.backends.onnx.arithmetic import arithmetic
from millis.backends.onnx.encoder_decoder import ENCODER, OnnxEncoderDecoder
from millis.backends.onnx.export import require
from millis.backends.onnx.quantize import quantize
from millis.backends.onnx.session import open_inference
from millis.backends.onnx.stacks import graphs
from millis.backends.onnx.writing import ONE_RANGE, load, save
from millis.backends.scratch import fp32_bytes, scratch
from millis.backends.tracing import agree, quiet
from millis.errors import MillisError
from millis.models.encoder_decoder import EncoderDecoder
from millis.quantization.ptq import prepare
from millis.quantization.spec import Quantization
from millis.types import Features

SOURCES, PIECES = (1, 6), (1, 3, 2)  # tokens of a source; how many are then read at a time


def export_encoder_decoder(
    model: EncoderDecoder,
    folder: Path,
    name: str,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
) -> tuple[str, ...]:
    """Write the graphs of `model` into `folder`.

    Args:
        model: In evaluation mode.
        name: Of the graph that is run once a token.
        quantization: What becomes integers, see `millis.backends.onnx.quantize`; or None.
        calibration: Texts, where `quantization` needs them.

    Returns:
        What a reader of the record should know, a sentence each.

    Raises:
        MillisError: `onnx` or `onnxruntime` is not installed, the model has a part that has no form here, a
            quantization that is fitted to texts or to training, or graphs that do not compute what the module does.
            `MachineFault` where TMPDIR or memory has no room for them.
    """
    require("onnx", "onnxruntime")
    paths = folder / ENCODER, folder / name
    with scratch(fp32_bytes(model)) as place, quiet():
        if quantization is None:
            _save_both(model, paths)
            _check(model, paths)
            return ()
        check_quantization(quantization)
        prepared = prepare(model, quantization, arithmetic(quantization), calibration)
        chosen: Any = prepared.model
        plain = place / ENCODER, place / name
        for made, path in zip(graphs(chosen), plain, strict=True):
            save(made, path)
        _check(chosen, plain)
        notes: tuple[str, ...] = ()
        for source, path, tied in zip(plain, paths, (None, chosen), strict=True):
            rounded = source.with_name(f"rounded_{source.name}")
            notes = quantize(source, rounded, prepared, quantization, [])
            save(load(rounded), path, tied)
        return (*notes, ONE_RANGE) if quantization.activations == "dynamic" else notes


def check_quantization(quantization: Quantization) -> None:
    """Refuse integers that are fitted to texts or to training.

    Raises:
        MillisError: as said.
    """
    if quantization.calibrates or quantization.aware is not None:
        raise MillisError(
            f"backend=onnxruntime got quantization {quantization.describe()} of an encoder-decoder; expected ranges "
            "that are taken as they come (quantization=dynamic), or weights alone (quantization=weight_only_8)"
        )


def _save_both(model: EncoderDecoder, paths: tuple[Path, Path]) -> None:
    encoder, decoder = graphs(model)
    save(encoder, paths[0])
    save(decoder, paths[1], model)


def _check(model: EncoderDecoder, paths: tuple[Path, Path]) -> None:
    """Refuse graphs that do not compute what `model` does.

    Raises:
        MillisError: says where they err.
    """
    (encoder, more), (writer, weights) = (open_inference(path, threads=1) for path in paths)
    decoder = OnnxEncoderDecoder(encoder, writer, [more, weights])
    for length in SOURCES:
        if (fault := _difference(model, decoder, length)) is not None:
            raise MillisError(f"the ONNX graphs do not agree with the model: {fault}. Use backend=eager")


def _difference(model: EncoderDecoder, decoder: OnnxEncoderDecoder, length: int) -> str | None:
    """Where a text behind a source of `length` tokens errs; None where it does not."""
    prompt, written = [*(np.arange(length) % 3), *model.spec.starts], np.arange(sum(PIECES)) % 3
    tokens = np.array([*prompt, *written], np.int64)
    expected = _said(model, tokens, len(prompt))
    text = decoder.begin(len(tokens))
    pieces = [len(prompt), *PIECES]
    for start, count in zip(np.cumsum([0, *pieces[:-1]]).tolist(), pieces, strict=True):
        end = start + count
        text.read(tokens[start:end])
        text.rewind(start)
        got = text.read(tokens[start:end], every=True)
        if not agree(got, expected[start:end]):
            by = np.abs(got - expected[start:end]).max()
            return f"logits differ by {by:.1g} at tokens {start} to {end - 1} behind a source of {length}"
    return None


@torch.inference_mode()
def _said(model: EncoderDecoder, tokens: NDArray[np.int64], prompt: int) -> NDArray[np.float32]:
    """What the module says after each of the tokens of a row, [S, V]."""
    ids, types = torch.from_numpy(tokens)[None], (torch.arange(len(tokens)) >= prompt).long()[None]
    found: NDArray[np.float32] = model(ids, torch.ones_like(ids), types)[0].numpy()
    return found
