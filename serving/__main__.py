"""Runs the endpoint: `python -m serving`."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from observability.telemetry import Settings as TelemetrySettings
from observability.telemetry import TelemetryError, check
from serving.errors import ServingError
from serving.keys import ensure_keys
from serving.settings import Settings
from serving.workers import Workers

_Settings = TypeVar("_Settings", bound=BaseSettings)


def main() -> int:
    """Start the worker processes and wait for their end."""
    description = "Serves the champion. Its settings are environment variables: docs/reference.md lists them."
    argparse.ArgumentParser(prog="python -m serving", description=description).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        settings, telemetry = _read(Settings), _read(TelemetrySettings)
        check(telemetry)
        ensure_keys(settings.keys)  # once, before the workers need them
        Workers(settings, telemetry).run()
    except (ServingError, TelemetryError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _read(kind: type[_Settings]) -> _Settings:
    """Settings from the environment; one that is wrong ends the program with a word on it."""
    try:
        return kind()
    except ValidationError as error:
        for wrong in error.errors():
            print(f"{kind.model_config['env_prefix']}{wrong['loc'][0]}".upper() + f": {wrong['msg']}.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    sys.exit(main())
