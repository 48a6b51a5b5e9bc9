"""Runs insights: `python -m observability.insights`."""

from __future__ import annotations

import argparse
import logging
import sys

from pydantic import ValidationError

from observability.insights.app import create_app
from observability.insights.errors import InsightsError
from observability.insights.parts import running
from observability.insights.server import serve
from observability.insights.settings import Settings


def main() -> int:
    """Open the database, serve until a signal, and close it."""
    description = "Stores telemetry. Its settings are environment variables: docs/reference.md lists them."
    argparse.ArgumentParser(prog="python -m observability.insights", description=description).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("uvicorn.error", "nicegui", "httpx"):  # the last tells addresses, and one may hold a secret
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = Settings()
        with running(settings) as parts:
            serve(create_app(parts, settings), parts.writer, settings)
    except ValidationError as error:
        for wrong in error.errors():
            print(f"HOMEPORT_INSIGHTS_{wrong['loc'][0]}".upper() + f": {wrong['msg']}.", file=sys.stderr)
        return 2
    except InsightsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
