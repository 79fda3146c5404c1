"""A made-up study whose frontier is known by hand, seeded. Loaded with `runpy.run_path`: test folders are no packages.

600 test texts; the number answered correctly is set, which ones is drawn (easy texts first, so models agree as real
ones do). Latency is base × (log-normal noise of the request) × (noise of the round, shared by every model).

    model                       correct  accuracy  base ms
    teacher                         564      94.0     24.0   frontier (the best quality)
    baseline int8                   561      93.5      9.0   frontier
    transformer 3x384               555      92.5      3.0   frontier
    transformer 3x384 int8          552      92.0      1.6   frontier
    transformer 3x384 int8 mse      551    91.833      1.6   beaten by one text at the same speed: a tie
    transformer 6x384 pruned        543      90.5      6.0   dominated
    cnn 128                         516      86.0      0.8   dominated by transformer 1x128 int8
    transformer 1x128 int8          537      89.5      0.5   frontier
    static 256                      522      87.0      0.06  frontier
"""

import numpy as np

from millis.record import Judged, Record

FRONTIER = {
    "teacher",
    "baseline int8",
    "transformer 3x384",
    "transformer 3x384 int8",
    "transformer 1x128 int8",
    "static 256",
}
TEXTS, ROUNDS, REQUESTS = 600, 20, 60
MODELS = [
    # name, kind, correct, base ms, MB, student, distillation weight
    ("teacher", "teacher", 564, 24.0, 90.9, None, None),
    ("baseline int8", "baseline", 561, 9.0, 23.2, None, None),
    ("transformer 3x384", "student", 555, 3.0, 45.1, "3x384", "logits"),
    ("transformer 3x384 int8", "student", 552, 1.6, 12.4, "3x384", "logits"),
    ("transformer 3x384 int8 mse", "student", 551, 1.6, 12.4, "3x384", "hidden mse"),
    ("transformer 6x384 pruned", "student", 543, 6.0, 60.0, "6x384", "logits"),
    ("cnn 128", "student", 516, 0.8, 16.5, "cnn 128", "logits"),
    ("transformer 1x128 int8", "student", 537, 0.5, 4.6, "1x128", "logits"),
    ("static 256", "student", 522, 0.06, 8.1, "static 256", None),
]


def study(seed: int = 0) -> list[Record]:
    """The nine records of the table above."""
    rng = np.random.default_rng(seed)
    references = rng.integers(3, size=TEXTS)
    ease = rng.permutation(TEXTS)
    machine = np.exp(rng.normal(0, 0.03, (ROUNDS, 1)))
    length = np.exp(rng.normal(0, 0.25, (ROUNDS, REQUESTS)))
    noise = {base: np.exp(rng.normal(0, 0.05, (ROUNDS, REQUESTS))) for _, _, _, base, *_ in MODELS}
    latencies = {name: base * machine * length * noise[base] for name, _, _, base, *_ in MODELS}
    return [_record(model, i, references, ease + rng.normal(0, 20, TEXTS), latencies) for i, model in enumerate(MODELS)]


def _record(model, i, references, difficulty, latencies) -> Record:
    name, kind, correct, _, megabytes, student, distillation = model
    wrong = np.argsort(difficulty)[correct:]
    predictions = references.copy()
    predictions[wrong] = (references[wrong] + 1) % 3
    samples, reference = latencies[name], latencies["teacher"]
    p50, p90, p99 = np.percentile(samples, (50, 90, 99))
    accuracy = 100 * correct / TEXTS
    half = 196 * np.sqrt(accuracy / 100 * (1 - accuracy / 100) / TEXTS)
    speedup = float(np.median(np.median(reference, 1) / np.median(samples, 1)))
    metrics = {
        "accuracy": accuracy,
        "validation_accuracy": accuracy + 0.2,
        "latency_p50_ms": float(p50),
        "latency_p90_ms": float(p90),
        "latency_p99_ms": float(p99),
        "speedup": speedup,
        "size_bytes": megabytes * 1e6,
        "peak_memory_bytes": megabytes * 3e6 + 1e8,
        "cold_start_ms": 300.0 + p50,
    }
    intervals = {key: (value * 0.97, value * 1.03) for key, value in metrics.items() if key.startswith("latency")}
    intervals |= {"accuracy": (accuracy - half, accuracy + half), "speedup": (speedup * 0.98, speedup * 1.02)}
    config = {
        "model": {"name": "minilm-l6", "max_length": 128},
        "student": {"shape": student},
        "distillation": {"loss": distillation, "temperature": 2.0 if distillation else None},
        "quantization": {"scheme": "dynamic int8" if "int8" in name else None},
        "backend": {"name": "eager" if kind == "teacher" else "onnxruntime", "threads": 1},
        "seed": i,
    }
    tokenize = min(0.04, p50 / 2)
    return Record(
        id=f"{i:016x}",
        name=name,
        kind=kind,
        metrics={key: float(value) for key, value in metrics.items()},
        intervals={key: (float(low), float(high)) for key, (low, high) in intervals.items()},
        quality="accuracy",
        config=config,
        seed=i,
        artifact=f"artifacts/{name.replace(' ', '-')}",
        predictions=predictions.tolist(),
        references=references.tolist(),
        latency_ms=samples.tolist(),
        reference_latency_ms=reference.tolist(),
        stages_ms={
            "tokenize": float(tokenize),
            "feed": float(p50 * 0.02),
            "compute": float(p50 * 0.97 - tokenize),
            "decode": float(p50 * 0.01),
        },
        parity={"label_agreement": 1.0, "max_abs_logit_difference": 2e-6 if "int8" not in name else 0.04},
        environment={
            "cpu": "Example CPU @ 2.6 GHz",
            "threads": 1,
            "affinity": [0],
            "packages": {"torch": "2.13.0", "onnxruntime": "1.31.0"},
            "git_commit": "0123abc",
        },
        notes=["3 of 600 texts were truncated to 128 tokens"] if kind == "teacher" else [],
        judged={"accuracy": Judged()},
    )
