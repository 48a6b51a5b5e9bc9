"""Runs the endpoint: `python -m serving`."""

from __future__ import annotations

import logging
import sys

import uvicorn
from pydantic import ValidationError

from serving.errors import ServingError
from serving.keys import ensure_keys
from serving.settings import Settings

DRAIN_SECONDS = 10  # for requests that are under way when the server is told to stop


def main() -> int:
    """Start the server processes and wait for their end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings()
        ensure_keys(settings.keys)  # once, before the workers need them
    except (ValidationError, ServingError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    uvicorn.run(
        "serving.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        log_config=None,
        ws="none",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
