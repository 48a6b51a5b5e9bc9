"""`homeport logs`: what the services write, and the switch of the endpoint's telemetry."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, State
from homeport.stack import Stack

POLL_SECONDS = 0.2
_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
_LEVEL = re.compile(r" (WARNING|ERROR|CRITICAL) ")


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="Switch the endpoint's telemetry on.")] = False,
    disable: Annotated[bool, typer.Option("--disable", help="Switch the endpoint's telemetry off.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    service: Annotated[Literal["serving", "insights", "pipeline"], typer.Option(help="Whose log.")] = "serving",
    state: State = DEFAULT_STATE,
) -> None:
    """Show a service's log, or switch the telemetry of the running endpoint on or off, in all its workers.

    Examples: `homeport logs --follow`, `homeport logs -n 200 --service insights`, `homeport logs --disable`
    """
    stack = Stack(state, DEFAULT_MODELS)
    if enable or disable:
        if (enable and disable) or follow:
            raise HomeportError("Give one of --enable, --disable and --follow.")
        from observability.telemetry.switch import switch  # half a second: not for other commands

        switch(stack.switch, on=enable)
        print(
            "Telemetry is on, within a second also in an endpoint that runs."
            if enable
            else "Telemetry is off, within a second also in an endpoint that runs: it goes on scoring and writing its "
            "log. Requests that are answered until `homeport logs --enable` will not be in insights."
        )
        return
    log = {"serving": stack.serving, "insights": stack.insights, "pipeline": stack.pipeline}[service].log
    if not log.exists():
        raise HomeportError(f"There is no log at {log} yet: `homeport up` starts the services.")
    console = Console(highlight=False, soft_wrap=True)
    try:
        for line in _followed(log, lines) if follow else _last(log, lines):
            level = _LEVEL.search(line)
            console.print(Text(line, _STYLES[level[1]] if level else ""))
    except KeyboardInterrupt:
        pass  # that is how following ends
    except BrokenPipeError:
        sys.stderr.close()  # the reader has seen enough; Python would complain of what it could not write


def _last(log: Path, count: int) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-count:] if count else []


def _followed(log: Path, count: int) -> Iterator[str]:
    """The last lines, then each that is written, also to a new file in its place."""
    yield from _last(log, count)
    place, inode, rest = log.stat().st_size, log.stat().st_ino, b""
    while True:
        found = log.stat() if log.exists() else None
        if found and (found.st_ino != inode or found.st_size < place):
            place, inode, rest = 0, found.st_ino, b""
        if found and found.st_size > place:
            with log.open("rb") as file:
                file.seek(place)
                rest += file.read()
                place = file.tell()
            *whole, rest = rest.split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        time.sleep(POLL_SECONDS)
