"""Runs the endpoint: `python -m serving`."""

from __future__ import annotations

import logging
import sys

from pydantic import ValidationError

from serving.errors import ServingError
from serving.keys import ensure_keys
from serving.settings import Settings
from serving.workers import Workers


def main() -> int:
    """Start the worker processes and wait for their end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        settings = Settings()
        ensure_keys(settings.keys)  # once, before the workers need them
        Workers(settings).run()
    except (ValidationError, ServingError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
