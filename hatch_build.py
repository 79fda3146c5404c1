"""Hatchling's hook: compiles the native part into the package, or leaves it out where that cannot be done."""

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILER = "ziglang>=0.13,<1"  # a C++ compiler as a package, asked for where the machine has none


class NativePart(BuildHookInterface):
    """One library beside `millis/backends/plan`; it knows no version of Python, so wheels are py3-none-<platform>."""

    def dependencies(self) -> list[str]:
        """What building needs besides hatchling."""
        return [] if _builder(Path(self.root)).compiler() else [COMPILER]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before a wheel, or an editable one, is put together."""
        if self.target_name != "wheel":
            return
        builder = _builder(Path(self.root))
        try:
            builder.build()
        except (OSError, RuntimeError) as error:
            self.app.display_warning(f"millis is installed without its native part (backend=native): {error}")
            return
        build_data["artifacts"].append(str(builder.TARGET.relative_to(self.root)))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def _builder(root: Path) -> ModuleType:
    """`native/build.py`, which is no package."""
    spec = importlib.util.spec_from_file_location("millis_native_build", root / "native" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
