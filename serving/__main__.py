"""Runs the endpoint: `python -m serving`."""

from __future__ import annotations

import argparse
import logging
import sys

from pydantic import ValidationError

from serving.errors import ServingError
from serving.keys import ensure_keys
from serving.settings import Settings
from serving.workers import Workers


def main() -> int:
    """Start the worker processes and wait for their end."""
    description = "Serves the champion. Its settings are environment variables: docs/reference.md lists them."
    argparse.ArgumentParser(prog="python -m serving", description=description).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        settings = Settings()
        ensure_keys(settings.keys)  # once, before the workers need them
        Workers(settings).run()
    except ValidationError as error:
        for wrong in error.errors():
            print(f"HOMEPORT_SERVING_{wrong['loc'][0]}".upper() + f": {wrong['msg']}.", file=sys.stderr)
        return 2
    except (ServingError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
