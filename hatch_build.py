"""Build hook: compiles the kernel into the wheel, and beside its source for an editable install."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatchling finds it by this name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Without a compiler the wheel is a pure one."""
        kernel = runpy.run_path(str(Path(self.root, "bundle", "compile.py")))
        problem = kernel["compile_kernel"]()
        if problem:
            self.app.display_warning(f"No kernel was compiled ({problem}): ONNX Runtime will score.")
        elif version != "editable":
            build_data["artifacts"].append(f"bundle/{kernel['LIBRARY'].name}")
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
