"""What a benchmark ran on, in a few words."""

from __future__ import annotations

import platform
from pathlib import Path


def machine() -> str:
    """System, architecture and processor.

    >>> machine()
    'Linux x86_64, Intel(R) Xeon(R) Processor'
    """
    return f"{platform.system()} {platform.machine()}, {_processor()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "processor unknown")
