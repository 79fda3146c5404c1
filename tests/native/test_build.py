"""The compiled part: which compiler is taken, what is said where none is or where it fails, and that it builds."""

import ctypes
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in (ROOT / "native").iterdir() if path.suffix in (".h", ".cpp"))


@pytest.fixture
def builder(monkeypatch):
    """`native/build.py`, on a machine without any compiler."""
    spec = importlib.util.spec_from_file_location("native_build", ROOT / "native" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    return module


def test_the_compiler_is_the_one_named_else_the_first_found_else_a_package(builder, monkeypatch):
    assert builder.compiler() is None
    monkeypatch.setattr(builder.importlib.util, "find_spec", lambda name: name)
    assert builder.compiler()[:4] == [sys.executable, "-m", "ziglang", "c++"]
    monkeypatch.setattr(builder.shutil, "which", lambda name: f"/bin/{name}" if name == "clang++" else None)
    assert builder.compiler() == ["/bin/clang++"]
    monkeypatch.setenv("CXX", "ccache g++-13")
    assert builder.compiler() == ["ccache", "g++-13"]


def test_without_a_compiler_the_message_says_what_was_looked_for(builder, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no C\+\+ compiler is found \(looked for CXX, c\+\+, g\+\+, clang\+\+, ziglang\)"
    ):
        builder.build(tmp_path / "library.so")


def test_a_compiler_that_fails_leaves_nothing(builder, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(RuntimeError, match=r"false -std=c\+\+17 .* failed"):
        builder.build(tmp_path / "library.so")
    assert list(tmp_path.iterdir()) == []


ALL_KERNELS = {"portable", "avx2", "avx512", "avx512_bf16"}


@pytest.mark.parametrize(
    ("machine", "kernels"),
    [("x86_64", ALL_KERNELS), ("AMD64", ALL_KERNELS), ("arm64", {"portable"})],
)
def test_kernels_of_the_machines_own_kind(builder, monkeypatch, machine, kernels):
    monkeypatch.setattr(builder.platform, "machine", lambda: machine)
    found = builder.sources()
    assert {name.removeprefix("kernels_").removesuffix(".cpp") for name in found if "kernels" in name} == kernels
    assert all((ROOT / "native" / name).is_file() for name in found)
    assert not any(flag.startswith("-mavx") for name in found if "avx" not in name for flag in found[name])


def test_a_compiler_without_bf16_leaves_its_instruction_out(builder, monkeypatch):
    monkeypatch.setattr(builder.platform, "machine", lambda: "x86_64")
    assert set(builder.sources()) - set(builder.sources(bf16=False)) == {"kernels_avx512_bf16.cpp"}
    defined = [flag for flags in builder.sources(bf16=False).values() for flag in flags if "BF16" in flag]
    assert (defined, builder.takes(["false"], "-mavx512bf16")) == ([], False)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
def test_it_builds_and_has_the_portable_kernels(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    spec = importlib.util.spec_from_file_location("native_build", ROOT / "native" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for flags in ("KERNELS", "INTERFACE"):  # whoever installed it has waited for the optimised one
        monkeypatch.setattr(module, flags, ("-O0", *getattr(module, flags)[1:]))
    monkeypatch.setattr(module, "takes", lambda *_: False)  # an older compiler than here
    module.build(tmp_path / "deep" / "library.so")
    assert ctypes.CDLL(str(tmp_path / "deep" / "library.so")).millis_has(0) == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["library.so"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sources_stay_short_and_say_what_they_are(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
    assert lines[0].startswith("// ")
    assert max(map(len, lines)) <= 120
