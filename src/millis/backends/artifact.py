"""Writing an artifact: weights, tokenizer and manifest appear together, or not at all."""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from millis import generation
from millis.errors import MillisError
from millis.models import tokenizer as tokenizers
from millis.models.outputs import writes
from millis.models.tokenizer import AnyTokenizer
from millis.quantization.spec import Quantization
from millis.storage.archived import Archived
from millis.storage.manifest import CARRIED, DRAFT, TOKENIZER, Manifest, open_manifest, seal
from millis.store import atomic_folder
from millis.tasks.contract import NOTHING, Carried
from millis.traits import DATA_SIZES, SEGMENTS, WRITES, has
from millis.types import Archivable, Backend, Features


def write_artifact(
    folder: Path,
    model: Any,
    tokenizer: AnyTokenizer,
    backend: Backend,
    manifest: Manifest,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
    storage: Archived | None = None,
    draft: Path | None = None,
    carried: Carried = NOTHING,
) -> Manifest:
    """Write the deployable folder; an artifact that was there is replaced.

    Args:
        folder: Where; its parents are made.
        model: An `nn.Module` of `manifest.spec`, on any device; it is left as it was.
        tokenizer: Written as it is; truncation and padding are the runner's to set.
        backend: Writes the weights; the manifest names it and keeps its options, with which it will be loaded.
        manifest: Without `backend`, `options`, `quantization` and `files`, which are filled in here.
        quantization: What the backend does to the weights.
        calibration: Training texts, tokenised (`millis.quantization.calibration.sample`), for a quantization that
            `calibrates`.
        draft: Artifact of a smaller model of the same tokenizer, which is copied into this one.
        carried: What the task has beside its description (`Task.carried`).
        storage: Puts the files into one archive; None leaves them as the backend wrote them.

    Returns:
        The manifest as written; its `quantization` also has `notes`, a list of sentences: what was decided on the way.

    Raises:
        MillisError: the file system refused, or the backend did, as one without segments does a model with exits and
            one of fixed sizes a model that drops tokens, or it cannot read archives; or so many tokens are to be
            written that nothing of a text could be read. Nothing is left behind.
    """
    archivable = backend if isinstance(backend, Archivable) else None
    _check(backend, manifest, storage)
    _check_room(manifest)
    with atomic_folder(folder) as temporary:
        write = _segmented(backend) if manifest.spec.exits else backend.write
        notes = write(_portable(model), temporary, manifest.signature, quantization, calibration)
        tokenizer.save(str(temporary / TOKENIZER))
        if carried.arrays:
            save_file(dict(carried.arrays), temporary / CARRIED)
        described = None if quantization is None else asdict(quantization) | {"notes": list(notes)}
        options: dict[str, Any] = asdict(backend)
        stored = None
        if storage is not None and archivable is not None:
            stored = storage.pack(temporary, archivable.take_apart(temporary))
        task = {**manifest.task, "notes": list(carried.notes)} if carried.notes else manifest.task
        written = replace(
            manifest, backend=backend.name, options=options, quantization=described, storage=stored, task=task
        )
        if draft is not None:
            check_draft(draft, tokenizer)
            shutil.copytree(draft, temporary / DRAFT)
        return seal(temporary, written)


def _check(backend: Backend, manifest: Manifest, storage: Archived | None) -> None:
    """Refuse what a backend cannot write; as `write_artifact`."""
    if storage is not None and not isinstance(backend, Archivable):
        raise MillisError(
            f"backend={backend.name} reads its own files and no archive. Choose storage=none, or backend=onnxruntime "
            "or eager"
        )
    if manifest.spec.tokens and not has(backend, DATA_SIZES):
        raise MillisError(
            f"the model drops tokens by what is in them, and backend={backend.name} has no sizes that depend on "
            "values. Choose backend=native, onnxruntime, openvino or eager"
        )
    if writes(manifest.spec.outputs) and not has(backend, WRITES):
        raise MillisError(
            f"the model writes token by token, and backend={backend.name} does not. Choose backend=native, onnxruntime "
            "or eager"
        )


def _check_room(manifest: Manifest) -> None:
    """Refuse to write so many tokens that nothing of a text that is answered would be read."""
    if manifest.generation is None or not manifest.answers.judged_as_written:
        return
    if (asked := generation.read(manifest.generation).max_tokens) > (most := manifest.most_written):
        raise MillisError(
            f"generation.max_tokens={asked} leaves nothing of a text within the {manifest.max_length} tokens that the "
            f"model reads (max_length): expected at most {most}. Lower generation.max_tokens, or raise task.max_length "
            "as far as the model's positions go"
        )


def check_draft(draft: Path, tokenizer: AnyTokenizer) -> None:
    """Refuse an artifact whose model cannot guess for one that reads by `tokenizer`.

    Raises:
        MillisError: it is no artifact, or its tokens are others.
    """
    open_manifest(draft)
    if tokenizers.read((draft / TOKENIZER).read_text(encoding="utf-8")).to_str() != tokenizer.to_str():
        raise MillisError(
            f"the smaller model in {draft} has another tokenizer than the model that it guesses for: expected a "
            "student of the same teacher, with its whole vocabulary"
        )


def _segmented(backend: Any) -> Any:
    if not has(backend, SEGMENTS):
        raise MillisError(
            f"the model has exits, and backend={backend.name} cannot write it in segments. Choose "
            "backend=native, onnxruntime, openvino or eager, or early_exit=none"
        )
    return backend.write_segments


def _portable(model: Any) -> Any:
    """A copy in evaluation mode, on the CPU, in fp32: training may go on with the original."""
    return copy.deepcopy(model).cpu().float().eval()
