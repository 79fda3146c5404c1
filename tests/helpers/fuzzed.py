"""Files of every kind that millis reads from strangers, made to lie at random; run as a program, each in a process.

    python -m fuzzed KIND FOLDER FIRST LAST

reads cases FIRST to LAST - 1 of KIND, a line of JSON each: {"case", "problem", "seconds", "mebibytes"}. `problem` is
None where the file was read or refused with `MillisError`; else a traceback. Checksums are made to fit what was
changed, so that the change gets past them.
"""

import contextlib
import hashlib
import io
import json
import random
import resource
import shutil
import struct
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from mutations import changed_bytes, changed_json
from small import write_artifacts, write_plans

from millis.errors import MillisError

TEXTS = ["a b", "", "h g f e d c b a", ("a", "b c"), "unknown words"]
SPARE = 2 << 30  # bytes of address space beyond what the libraries take: a bomb ends in a MemoryError, not the machine
_served: list[Path] = []
Case = Callable[[Path, Random], Callable[[], Any]]
"""(folder of the kind's own, generator) → what reads the file that was changed there."""


def archive(folder: Path, random: Random) -> Callable[[], Any]:
    """Tensors of every encoding, header and parts."""
    import numpy as np

    from millis.storage.archive import PREFIX, Archive, write
    from millis.storage.cheapest import Rule

    source, path = folder / "source.millis", folder / "a.millis"
    if not source.exists():
        drawn = np.random.default_rng(0)
        weight = drawn.normal(size=(64, 64)).astype(np.float32)
        tiles = np.zeros_like(weight)
        tiles[:32, :32] = weight[:32, :32]
        halves = weight * np.tile([1, 0, 0, 1], 16).astype(np.float32)
        tensors = {
            "dense": weight, "half": np.where(drawn.random((64, 64)) < 0.5, weight, 0).astype(np.float32),
            "sparse": np.where(drawn.random((64, 64)) < 0.1, weight, 0).astype(np.float32), "tiles": tiles,
            "2:4": halves, "few": np.sign(weight), "int8": drawn.integers(-8, 8, (64, 64)).astype(np.int8),
            "positions": np.arange(99), "grid": (drawn.integers(-7, 8, (64, 64)) * np.float32(0.25)).astype(np.float32),
        }  # fmt: skip
        write(source, tensors, Rule(bandwidth_mb_per_s=1))
    content = source.read_bytes()
    _, version, _, length, _ = PREFIX.unpack(content[: PREFIX.size])
    header = json.loads(zlib.decompressobj().decompress(content[PREFIX.size : PREFIX.size + length]))
    body = bytearray(content[PREFIX.size + length :])
    way = random.randrange(4)
    if way == 0:
        path.write_bytes(changed_bytes(content, random))
        return lambda: Archive(path).read()
    if way == 1:  # parts, with their checksums
        part = random.choice([part for entry in header for part in entry["parts"].values()])
        start, stop = part["offset"], part["offset"] + part["bytes"]
        body[start:stop] = changed_bytes(bytes(body[start:stop]), random)[: part["bytes"]].ljust(part["bytes"], b"\0")
        part["crc32"] = zlib.crc32(body[start:stop])
        text = json.dumps(header)
    elif way == 2:  # numbers of the header alone, the likeliest to pass for sizes
        entry = random.choice(header)
        where = random.choice([entry["numbers"], *entry["parts"].values()]) or entry["numbers"]
        where[random.choice(list(where) or ["low"])] = random.choice((0, 1, 3, 8, 64, 255, 4096, 10**9, 3 << 30, 2**53))
        text = json.dumps(header)
    else:
        text = changed_json(header, random)
    packed = zlib.compress(text.encode("utf-8", "surrogatepass"))
    packed += bytes(-(PREFIX.size + len(packed)) % 64)
    total = PREFIX.size + len(packed) + len(body)
    path.write_bytes(PREFIX.pack(b"MILLISAR", version, zlib.crc32(packed), len(packed), total) + packed + body)
    return lambda: Archive(path).read()


def manifest(folder: Path, random: Random) -> Callable[[], Any]:
    """The manifests of a static model, of one with exits, and of a cascade."""
    source = random.choice(_artifacts(folder))
    copied = _copy(source, folder)
    path, text = copied / "manifest.json", (source / "manifest.json").read_text()
    if random.random() < 0.1:
        path.write_bytes(changed_bytes(text.encode(), random))
    else:
        path.write_text(changed_json(json.loads(text), random))
    return lambda: _serve(copied)


def tokenizer(folder: Path, random: Random) -> Callable[[], Any]:
    """`tokenizer.json`, where it is no part of an archive."""
    found = [whole for whole in _artifacts(folder) if (whole / "tokenizer.json").is_file()]
    copied = _copy(random.choice(found), folder)
    path, text = copied / "tokenizer.json", (copied / "tokenizer.json").read_text()
    if random.random() < 0.2:
        path.write_bytes(changed_bytes(text.encode(), random))
    else:
        path.write_text(changed_json(json.loads(text), random))
    _reseal(copied)
    return lambda: _serve(copied)


def weights(folder: Path, random: Random) -> Callable[[], Any]:
    """`model.safetensors`, `model.onnx`, `weights.millis`; of the first the header as JSON too."""
    copied = _copy(random.choice(_artifacts(folder)), folder)
    files = [path for path in copied.rglob("*") if path.suffix in (".safetensors", ".onnx", ".millis")]
    path = random.choice(sorted(files))
    content = path.read_bytes()
    if path.suffix == ".safetensors" and random.random() < 0.6:
        length = struct.unpack("<Q", content[:8])[0]
        header = changed_json(json.loads(content[8 : 8 + length]), random).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
    else:
        path.write_bytes(changed_bytes(content, random))
    _reseal(copied)
    return lambda: _serve(copied)


def plan(folder: Path, random: Random) -> Callable[[], Any]:
    """`model.plan`, or that of a segment: its header as JSON, its numbers alone, or any bytes."""
    import numpy as np

    from millis.backends.plan import file

    source = folder / "plans"
    if not source.exists():
        write_plans(folder / "writing")
        (folder / "writing").rename(source)
    copied = _copy(random.choice(sorted(source.iterdir())), folder)
    path = random.choice(sorted(copied.glob("*.plan")))
    content = path.read_bytes()
    _, _, start = file.parsed(np.frombuffer(content, np.uint8), "model.plan")
    length = struct.unpack("<Q", content[8:16])[0]
    header, way = json.loads(content[16 : 16 + length]), random.randrange(3)
    if way == 0:
        path.write_bytes(changed_bytes(content, random))
    else:
        text = changed_json(header, random) if way == 1 else json.dumps(_renumbered(header, random))
        begins = content[:8] + struct.pack("<Q", len(text.encode())) + text.encode()
        path.write_bytes(begins.ljust(file.aligned(len(begins)), b"\0") + content[start:])
    _reseal(copied)
    writes = json.loads((copied / "manifest.json").read_text())["name"] == "decoder"
    return lambda: _write(copied) if writes else _serve(copied)


def collection(folder: Path, random: Random) -> Callable[[], Any]:
    """`task.safetensors` of retrieval: its header as JSON, any bytes, or numbers, with fingerprints that fit them."""
    import numpy as np
    from safetensors.numpy import load, save

    from millis.data.neighbour_graph import NeighbourGraph
    from millis.data.vectors import Vectors
    from millis.serving.runner import carrying
    from millis.tasks.retrieval import GRAPH, Retrieval

    source, path = folder / "source.safetensors", folder / "task.safetensors"
    drawn = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float16).astype(np.float32)
    task = Retrieval("faq").over(tuple(map(str, range(600))), Vectors(drawn))
    if not source.exists():
        links = {GRAPH + name: array for name, array in NeighbourGraph.of(Vectors(drawn)).arrays().items()}
        source.write_bytes(save({**task.carried(folder).arrays, **links}))
    content, way = source.read_bytes(), random.randrange(4)
    if way == 0:
        path.write_bytes(changed_bytes(content, random))
    elif way == 1:
        length = struct.unpack("<Q", content[:8])[0]
        header = changed_json(json.loads(content[8 : 8 + length]), random).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
    else:
        arrays = {name: array.copy() for name, array in load(content).items()}
        name = random.choice(sorted(arrays))
        for _ in range(random.choice((1, 1, 3, 50))):
            found = np.iinfo(arrays[name].dtype) if arrays[name].dtype.kind in "iu" else np.finfo(arrays[name].dtype)
            near = int(arrays[name].reshape(-1)[random.randrange(arrays[name].size)])
            value = random.choice((0, 1, near, near + 1, 599, 600, random.randrange(600), found.max, found.min))
            arrays[name].reshape(-1)[random.randrange(arrays[name].size)] = min(max(value, found.min), found.max)
        if name == "vectors" and np.isfinite(arrays[name]).all():
            vectors = Vectors(arrays[name].astype(np.float32))
            task = task.over(task.entries, vectors)
            arrays["graph/of"] = np.frombuffer(vectors.content.encode(), np.uint8)
        path.write_bytes(save(arrays))

    def read() -> None:
        again = carrying(folder, Answering(task))
        for row in (0, 7, 599):
            again.answer((drawn[row : row + 1],), None)

    return read


class Answering(NamedTuple):
    """What is asked of a manifest for its task."""

    answers: Any


def gguf(folder: Path, random: Random) -> Callable[[], Any]:
    """A language model in GGUF: any bytes of it, those before the tensors more often, its numbers alone."""
    from gguf_files import TOKENS, tensors, write

    from millis.models.gguf import llama, tokenizer
    from millis.models.gguf.file import open_file

    source, path = folder / "source.gguf", folder / "a.gguf"
    if not source.exists():
        write(source, tensors(), "Q8_0")
    content, way = source.read_bytes(), random.randrange(3)
    begins = content.index(b"output_norm.weight")
    if way == 0:
        path.write_bytes(changed_bytes(content, random))
    elif way == 1:
        path.write_bytes(changed_bytes(content[:begins], random) + content[begins:])
    else:  # a number behind a name, as counts and ids are
        names = [
            b"block_count",
            b"head_count",
            b"length",
            b"token_id",
            b"token_type",
            b".tokens",
            b".merges",
            b".weight",
        ]
        name, ends = random.choice(names), []
        while (place := content.find(name, ends[-1] if ends else 0)) >= 0:
            ends.append(place + len(name))
        place, size = random.choice(ends) + random.choice((0, 4, 8, 12)), random.choice((1, 4, 8))
        number = random.choice((0, 1, 2, 3, len(TOKENS), 2**31, 2**40, 2**63)) % 256**size
        path.write_bytes(content[:place] + number.to_bytes(size, "little") + content[place + size :])

    def read() -> None:
        file = open_file(path)
        tokenizer.read(file).encode("a text <|im_end|>")
        llama.read(file)

    return read


def _renumbered(header: Any, random: Random) -> Any:
    """The header with some of its numbers changed, the likeliest to pass for sizes and places."""
    part = random.choice([*header["steps"], *header["slots"], *header["tensors"], *header["outputs"]])
    while inner := [value for value in part.values() if isinstance(value, dict) and random.random() < 0.7]:
        part = random.choice(inner)
    numbers = [name for name, value in part.items() if isinstance(value, int)] or list(part)
    part[random.choice(numbers)] = random.choice((0, 1, 2, 3, 7, 16, 17, 64, 255, 4096, 2**20, 2**24))
    return header


def elastic(folder: Path, random: Random) -> Callable[[], Any]:
    """What a folder of elastic weights says of them."""
    from dataclasses import asdict

    from recipes import recipe, tuning

    from millis.cli.recipes import remade
    from millis.distillation.blend import Blend
    from millis.elastic.policy.uniform import Uniform
    from millis.elastic.recipe import Elastic
    from millis.elastic.student import ElasticStudent
    from millis.pipeline.bundle import FILE_NAME, WEIGHTS, Bundle, opened
    from millis.training.fit import Fitted

    place, fitted = folder / "elastic", Fitted(90.0, 2, 3.0, [{"epoch": 1.0}])
    place.mkdir(exist_ok=True)
    (place / WEIGHTS).write_bytes(b"weights")
    asked = recipe(student=ElasticStudent(Elastic(Uniform(), layers=[1, 2])))
    said = Bundle(
        "a", hashlib.sha256(b"weights").hexdigest(), "b", "c", tuning().described, asked.described, fitted, fitted,
        Blend(0.2, 91.0, 90.0),
    )  # fmt: skip
    content, path = asdict(said), place / FILE_NAME
    if random.random() < 0.1:
        path.write_bytes(changed_bytes(json.dumps(content).encode(), random))
    else:
        path.write_text(changed_json(content, random), encoding="utf-8", errors="surrogatepass")
    return lambda: remade(place, opened(place))


def data(folder: Path, random: Random) -> Callable[[], Any]:
    """Rows as JSON lines and CSV, plain and compressed, and `labels.txt`."""
    import gzip

    from millis.data.local import Local

    place = folder / "data"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    numbered = random.random() < 0.3
    rows = [{"text": f"text {i} äß", "label": i % 3 if numbered else "abc"[i % 3]} for i in range(12)]
    if numbered and random.random() < 0.5:
        (place / "labels.txt").write_bytes(changed_bytes(b"red\ngreen\nblue\n", random))
    suffix, hurt = random.choice((".jsonl", ".jsonl", ".csv", ".jsonl.gz")), random.choice(("train", "test"))
    for split in ("train", "validation", "test"):
        if suffix == ".csv":
            content = ("text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows)).encode()
        else:
            content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
        if split == hurt and suffix != ".csv" and random.random() < 0.7:
            at = random.randrange(len(rows))
            lines = [changed_json(row, random) if i == at else json.dumps(row) for i, row in enumerate(rows)]
            content = "\n".join(lines).encode()
        elif split == hurt and not suffix.endswith(".gz"):
            content = changed_bytes(content, random)
        content = gzip.compress(content) if suffix.endswith(".gz") else content
        if split == hurt and suffix.endswith(".gz") and random.random() < 0.5:
            content = changed_bytes(content, random)
        (place / f"{split}{suffix}").write_bytes(content)
    return Local(str(place))


def records(folder: Path, random: Random) -> Callable[[], Any]:
    """The records of a study, read and drawn."""
    return _records(folder, random, lambda record: record)


def written(folder: Path, random: Random) -> Callable[[], Any]:
    """The same of a study whose models answer texts."""
    from millis import metrics

    said, bleu = ("no", "yes it is", "yes it was so"), metrics.named("bleu", (), "written")

    def texts(record: Any) -> Any:
        answers = [said[1 + answer % 2] for answer in record.predictions]
        right = [said[1] if index % 2 else list(said[1:]) for index in record.references]
        quality = {"bleu": metrics.value("bleu", bleu, answers, right)}
        others = {name: value for name, value in record.metrics.items() if not name.endswith("accuracy")}
        judged = metrics.judged({"bleu": bleu})
        return replace(
            record, predictions=answers, references=right, quality="bleu", judged=judged, metrics=others | quality
        )

    return _records(folder, random, texts)


def _records(folder: Path, random: Random, made: Callable[[Any], Any]) -> Callable[[], Any]:
    import runpy

    from millis.cli.report import _objectives
    from millis.record import read_records, write_records
    from millis.report.html import write_html
    from millis.report.records import print_records
    from millis.report.tables import frontier_rows
    from millis.report.text import print_frontier, wide_console
    from millis.sweep.frontier import frontier

    source, path = folder / "source.jsonl", folder / "records.jsonl"
    if not source.exists():
        study = runpy.run_path(str(Path(__file__).parents[1] / "report" / "synthetic.py"))["study"]()[:3]
        analysed = {"curves": [_POINT], "profile": [_OPERATOR], "limit": _LIMIT}
        short = [made(_short(record)) for record in study]
        write_records(source, [replace(short[0], analysis=analysed), *short[1:]])
    lines = source.read_text(encoding="utf-8").splitlines()
    at = random.randrange(len(lines))
    if random.random() < 0.1:
        path.write_bytes(changed_bytes(source.read_bytes(), random))
    else:
        lines[at] = changed_json(json.loads(lines[at]), random)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def read() -> None:
        found = read_records(path)
        if not found:
            return
        objectives = _objectives(found[0], None)
        drawn = frontier(found, objectives, resamples=8)
        print_frontier(frontier_rows(found, drawn), wide_console())
        print_records(found, wide_console())
        write_html(folder / "page.html", found, drawn, title="x", budget={})

    return read


def application(folder: Path, random: Random) -> Callable[[], Any]:
    """`application.json` of a customer service: as JSON, or any bytes."""
    from service import service

    from millis.applications.runner import load

    source = folder / "application"
    if not source.exists():
        service(folder / "writing")
        (folder / "writing").rename(source)
    path = _copy(source, folder) / "application.json"
    if random.random() < 0.2:
        path.write_bytes(changed_bytes(path.read_bytes(), random))
    else:
        path.write_text(changed_json(json.loads(path.read_text()), random))

    def ask() -> None:
        runner = load(path.parent)
        for text in (*TEXTS, "parcel 48213", "open"):
            with contextlib.suppress(MillisError):
                runner.predict(text)

    return ask


KINDS: dict[str, Case] = {
    one.__name__: one
    for one in (
        application,
        archive,
        manifest,
        tokenizer,
        weights,
        plan,
        collection,
        gguf,
        elastic,
        data,
        records,
        written,
    )
}
_POINT = {
    "axis": "threads", "threads": 1, "streams": 1, "batch": 1, "length": None, "p50_ms": 1.0, "p99_ms": 2.0,
    "per_second": 1000.0,
}  # fmt: skip
_OPERATOR = {"name": "dense", "kind": "MatMul", "share": 0.5, "microseconds": 7.0}
_LIMIT = {
    "tokens": 9, "operations": 10**6, "bytes_read": 10**6, "precision": "fp32", "arithmetic_ms": 0.1, "memory_ms": 0.1,
    "measured_ms": 0.3, "tokenize_us": 10.0, "python_us": 5.0, "floor_ms": 0.1, "over_floor": 3.0,
    "rates": [{"threads": 1, "fp32": 1e11, "bf16": None, "int8": 1e11, "bandwidth": 1e10, "cache_bytes": 10**6}],
}  # fmt: skip


def _short(record: Any) -> Any:
    """The record with few texts and samples."""
    few = {
        name: [samples[:6] for samples in getattr(record, name)[:3]] for name in ("latency_ms", "reference_latency_ms")
    }
    predictions, references = record.predictions[:20], record.references[:20]
    right = sum(one == other for one, other in zip(predictions, references, strict=True))
    metrics = record.metrics | {"accuracy": 5.0 * right}
    return replace(record, predictions=predictions, references=references, metrics=metrics, **few)


def _artifacts(folder: Path) -> list[Path]:
    """A static model on two runtimes and in an archive, one with exits, a cascade."""
    made = folder / "artifacts"
    if not made.exists():
        write_artifacts(folder / "writing")
        (folder / "writing").rename(made)
    found = sorted(made.iterdir())
    for whole in found if not _served else ():  # imports, which are not a case's own
        _serve(whole)
        _served.append(whole)
    return found


def _copy(source: Path, folder: Path) -> Path:
    copied = folder / "copied"
    shutil.rmtree(copied, ignore_errors=True)
    return Path(shutil.copytree(source, copied))


def _reseal(folder: Path) -> None:
    """Checksums and sizes in the manifest that are those of the files."""
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    for name in values["files"]:
        content = (folder / name).read_bytes()
        values["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps(values))


def _serve(folder: Path) -> None:
    from millis.serving.runner import load

    runner = load(folder)
    for text in TEXTS:
        with contextlib.suppress(MillisError):
            runner.predict(text)
    runner.logits(["a b c"])


def _write(folder: Path) -> None:
    """Serve it, and read a text piece by piece."""
    import numpy as np

    from millis.backends import native
    from millis.storage.manifest import open_manifest

    _serve(folder)
    text = native.load(folder, open_manifest(folder), 1).begin(150)
    for count, every in ((5, False), (1, True), (140, True)):
        text.read(np.arange(count) % 5, every)
    text.rewind(3)
    text.read(np.array([4]))


def _problem(read: Callable[[], Any]) -> str | None:
    """What was neither read nor refused as it should be; the name of what was raised and where."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            read()
    except MillisError as error:
        return f"a message of {len(str(error).splitlines())} lines: {error}" if "\n" in str(error).strip() else None
    except BaseException as error:  # a panic in Rust is no Exception
        lines = "".join(traceback.format_exception(error)).strip().splitlines()
        return "\n".join([*lines[-14:-1], lines[-1][:300]])
    return None


def main(kind: str, folder: Path, first: int, last: int) -> None:
    """Read the cases, a line each; stops where memory has grown past what later cases could be told from."""
    warnings.simplefilter("ignore")
    _problem(KINDS[kind](folder, Random(0)))  # imports, and makes what is changed
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE,) * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in range(first, last):
        drawn = random.Random(f"{kind} {case}")
        read = KINDS[kind](folder, drawn)
        print(json.dumps({"began": case}), flush=True)
        start = time.monotonic()
        problem = _problem(read)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        told = {"case": case, "problem": problem, "seconds": time.monotonic() - start, "mebibytes": grown}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
