"""The experiment log of this machine, and its page: `homeport experiments`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, INTERRUPTED, State, console
from homeport.stack import LOOPBACK, Stack

if TYPE_CHECKING:
    from trainer.experiments import Log


def experiment_log(stack: Stack, experiment: str) -> Log:
    """Where trainings are logged: as MLflow's own environment variables say, else in the database of the stack."""
    from trainer.experiments import Log

    uri = os.environ.get("MLFLOW_TRACKING_URI") or stack.tracking
    return Log(uri, os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment)


def experiments(
    port: Annotated[
        int, typer.Option(min=1, max=65535, envvar="HOMEPORT_MLFLOW_PORT", help="Port to listen on.")
    ] = 5001,
    state: State = DEFAULT_STATE,
) -> None:
    """Open MLflow's page on all trainings that were logged here, until Ctrl-C.

    Example: `homeport experiments --port 5002`
    """
    stack = Stack(state, DEFAULT_MODELS)
    database = Path(stack.tracking.removeprefix("sqlite:///"))
    if not database.exists():
        raise HomeportError(f"Nothing is logged at {database} yet: `homeport train` writes there.")
    console.print(f"MLflow: http://{LOOPBACK}:{port}   (Ctrl-C ends it)", highlight=False)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", stack.tracking, "--workers", "1"]
    command += ["--host", LOOPBACK, "--port", str(port)]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(command, env=os.environ | quiet) as server:
        try:
            code = server.wait()
        except KeyboardInterrupt:  # the server, of the same terminal, has heard it too
            server.wait()
            raise typer.Exit(INTERRUPTED) from None
    if code:
        raise HomeportError(f"MLflow ended with code {code}: is port {port} taken? Choose another with --port.")
