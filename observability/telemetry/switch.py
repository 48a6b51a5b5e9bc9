"""The switch that turns the telemetry of a running service off and on: a file that is there while it is off.

In a container: `python -m observability.telemetry.switch off`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from observability.telemetry.settings import Settings


def switch(path: Path, *, on: bool) -> None:
    """Turn it; all processes that look at this file follow within LOOK_SECONDS of `outlet`. Raises OSError."""
    if on:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def is_on(path: Path | None) -> bool:
    """Whether telemetry is on; it always is where there is no switch."""
    return path is None or not path.exists()


def main() -> int:
    """Turn the switch that HOMEPORT_TELEMETRY_SWITCH names, or say how it is."""
    parser = argparse.ArgumentParser(prog="python -m observability.telemetry.switch", description=main.__doc__)
    parser.add_argument("action", choices=("on", "off", "show"))
    action = parser.parse_args().action
    path = Settings().switch
    if path is None:
        print("HOMEPORT_TELEMETRY_SWITCH names no file: there is no switch here.", file=sys.stderr)
        return 1
    try:
        if action != "show":
            switch(path, on=action == "on")
    except OSError as error:
        print(f"{path} cannot be changed: {error.strerror}.", file=sys.stderr)
        return 1
    print("on" if is_on(path) else "off")
    return 0


if __name__ == "__main__":
    sys.exit(main())
