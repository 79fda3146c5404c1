"""The machine and the software a measurement was made on: what a reader needs to compare it with another.

Nothing here imports what it describes, but for the compiled part: versions come from package metadata.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import millis
from millis.backends.plan import library
from millis.cpus import fields, processor, processor_name, quota

# What decides the speed of fp32 and int8 arithmetic on x86; without `avx512_vnni` or `avx_vnni` int8 gains far less.
FLAGS = ("avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")
PACKAGES = (
    "torch", "transformers", "tokenizers", "nanotoken", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu",
    "onnxruntime-genai", "ctranslate2", "openvino", "safetensors",
)  # fmt: skip
NATIVE = "native"
GPUS = Path("/proc/driver/nvidia/gpus")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def environment() -> dict[str, Any]:
    """JSON-able description: machine, operating system, Python, packages, load, commit, time."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "packages": packages(),
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "git_commit": git_commit(Path.cwd()),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def machine() -> dict[str, Any]:
    """Processor, its instruction sets of interest, cores, how many of them a quota allows (null: all), GPUs, memory in
    bytes, system, frequency governor."""
    cpu = processor()
    flags = set(cpu.get("flags", cpu.get("Features", "")).split())
    return {
        "cpu": processor_name(),
        "cpu_flags": [flag for flag in FLAGS if flag in flags],
        "cpus": os.cpu_count(),
        "cpu_quota": quota(),
        "gpus": [fields(path).get("Model", "unknown") for path in sorted(GPUS.glob("*/information"))],
        "memory_bytes": _memory_bytes(),
        "system": platform.platform(),
        "governor": _read(GOVERNOR),
    }


def packages() -> dict[str, str]:
    """Version of every installed package that can move a latency or an answer."""
    versions = {"millis": millis.__version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if (compiled := library.identity()) is not None:
        versions[NATIVE] = compiled
    return versions


def git_commit(folder: Path) -> str | None:
    """Commit checked out at `folder`, with `+changes` if its tracked files differ; None outside a repository."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return f"{commit}+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def peculiarities(here: Mapping[str, Any]) -> list[Any]:
    """What few machines have, of a description by `machine`: GPUs, a quota of CPU time. The others stay known by what
    was known of them before these were read."""
    gpus, quota = here.get("gpus"), here.get("cpu_quota")
    return [*([gpus] if gpus else []), *([] if quota is None else [{"cpu_quota": quota}])]
