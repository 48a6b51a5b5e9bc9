"""Compiles the kernel, when Homeport is installed: `python bundle/compile.py`, or the build hook.

Needs nothing but Python and a C compiler (`cc`, or what CC names); without one, ONNX Runtime scores.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("forest.c")
LIBRARY = Path(__file__).with_name("libforest.so")


def compile_kernel() -> str | None:
    """Compile forest.c to libforest.so beside it. Returns why it could not, or None."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    draft = LIBRARY.with_name(f".{LIBRARY.name}-{secrets.token_hex(4)}")  # never in place: somebody may run the old one
    compiler = shlex.split(os.environ.get("CC", "cc"))
    options = ["-O3", "-shared", "-fPIC", f'-DSOURCE="{digest}"', "-o", str(draft), str(SOURCE), "-lm"]
    try:
        done = subprocess.run([*compiler, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{compiler[0]} failed: {done.stderr.strip()[:500]}"
        draft.replace(LIBRARY)
    except OSError as error:
        return str(error)
    finally:
        draft.unlink(missing_ok=True)
    return None


if __name__ == "__main__":
    problem = compile_kernel()
    print(f"No kernel was compiled ({problem}): ONNX Runtime will score." if problem else f"Compiled {LIBRARY}.")
