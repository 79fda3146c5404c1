"""Compiles the native part: one shared library with kernels for every instruction set, each with flags of its own.

    python native/build.py [TARGET] [--sanitize]

Called when millis is installed (`hatch_build.py`). The compiler is `CXX`, or the first of c++, g++ and clang++, or the
Clang of the package `ziglang` where that is installed. No other tool is needed.
"""

import importlib.util
import os
import platform
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).parent
TARGET = SOURCE.parent / "src" / "millis" / "backends" / "plan" / (
    f"millis_native{'.dylib' if sys.platform == 'darwin' else '.so'}"
)  # fmt: skip
FINGERPRINT = runpy.run_path(str(TARGET.with_name("sources.py")))["fingerprint"]
COMPILERS = ("c++", "g++", "clang++")
PACKAGE = "ziglang"
# No contraction: which products and sums are fused is what the sources say, on every processor. No exceptions: a kernel
# raises none, and shares nothing of the standard library with other files, which could be made of its instructions.
KERNELS = ("-O3", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-Wno-psabi")
INTERFACE = ("-O3", "-Wall", "-Wextra")
ALL = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-pthread")
AVX2 = ("-mavx2", "-mfma")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mprefer-vector-width=512")
BF16 = (*AVX512, "-mavx512bf16")
# With its own C++ library, unseen by others: what is built here runs on older systems, and beside any other library.
STATIC = ("-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL")
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def compiler() -> list[str] | None:
    """The command that compiles C++; None where there is none."""
    if named := os.environ.get("CXX"):
        return shlex.split(named)
    if found := next(filter(None, map(shutil.which, COMPILERS)), None):
        return [found]
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    return [sys.executable, "-m", PACKAGE, "c++", "-mcpu=baseline", "-fno-sanitize=undefined"]


def takes(command: list[str], flag: str) -> bool:
    """Whether the compiler knows the flag."""
    asked = [*command, flag, "-x", "c++", "-fsyntax-only", "-"]
    return subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def sources(bf16: bool = True) -> dict[str, tuple[str, ...]]:
    """File → its flags, for this machine's kind of processor.

    Args:
        bf16: Whether the compiler knows the instruction for products of bf16, as GCC does from 10 on.
    """
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    kinds = (*(("-DMILLIS_X86",) if x86 else ()), *(("-DMILLIS_BF16",) if x86 and bf16 else ()))
    interface = (*INTERFACE, f"-DMILLIS_SOURCES={FINGERPRINT(SOURCE)}", *kinds)
    found = {"model.cpp": interface, "reading.cpp": INTERFACE, "crew.cpp": interface, "kernels_portable.cpp": KERNELS}
    if x86:
        found |= {"kernels_avx2.cpp": (*KERNELS, *AVX2), "kernels_avx512.cpp": (*KERNELS, *AVX512)}
    if x86 and bf16:
        found["kernels_avx512_bf16.cpp"] = (*KERNELS, *BF16)
    return found


def build(target: Path = TARGET, sanitize: bool = False) -> None:
    """Compile, and put the library at `target` in one piece.

    Raises:
        OSError: there is no compiler, or it cannot be started.
        RuntimeError: it refuses; its last words.
    """
    command = compiler()
    if command is None:
        raise FileNotFoundError(f"no C++ compiler is found (looked for CXX, {', '.join(COMPILERS)}, {PACKAGE})")
    extra = SANITIZE if sanitize else ()
    linking = ("-s", *(() if PACKAGE in command else STATIC)) if sys.platform == "linux" else ()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        compiled = sources(takes(command, BF16[-1]))
        objects = {name: Path(scratch) / f"{name}.o" for name in compiled}
        _finish([
            _start([*command, *ALL, *flags, *extra, "-c", str(SOURCE / name), "-o", str(objects[name])])
            for name, flags in compiled.items()
        ])  # fmt: skip
        made = Path(scratch) / target.name
        link = [*command, "-shared", "-pthread", *map(str, objects.values()), "-o", str(made)]
        try:
            _finish([_start([*link, *(extra or linking)])])
        except RuntimeError:
            if not linking or extra:
                raise
            _finish([_start(link)])  # without a C++ library of its own, of which some systems have no static one
        beside = target.with_suffix(f".{os.getpid()}")
        shutil.copyfile(made, beside)
        beside.replace(target)  # a library that a process has open is not written over


def _start(command: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(started: "list[subprocess.Popen[str]]") -> None:
    said = [(one, one.communicate()[0]) for one in started]
    for one, text in said:
        if one.returncode:
            raise RuntimeError(f"{shlex.join(map(str, one.args))} failed: {text[-2000:]}")  # type: ignore[arg-type]


if __name__ == "__main__":
    named = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("--")] or [TARGET]
    begin = time.monotonic()
    build(*named, sanitize="--sanitize" in sys.argv)
    print(f"{named[0].name}: {named[0].stat().st_size / 1e6:.2f} MB in {time.monotonic() - begin:.1f} s")
