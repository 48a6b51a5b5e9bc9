"""RunDetails: a run that is watched while it goes, in a terminal or a notebook."""

from __future__ import annotations

import sys
from importlib import import_module

from rich.console import Console
from rich.live import Live

from homeport.pipeline_records import Run
from homeport.pipeline_run import PipelineRun, Seen
from homeport.run_html import html
from homeport.run_view import view
from homeport.run_words import changes, printable

LEFT = "You have left the view; the run goes on."


class RunDetails:
    """What a run does, step by step: `RunDetails(run).show()`.

    Watching changes nothing: who leaves with Ctrl-C, or with a notebook's stop button, leaves the run alone. All
    methods raise PipelineServiceError.
    """

    def __init__(self, run: PipelineRun) -> None:
        self.run = run

    def show(self) -> None:
        """Show it until it is over: in a notebook below the cell, otherwise on the terminal."""
        if _in_notebook():
            self._in_place()
        else:
            self.watch(Console())

    def watch(self, console: Console) -> Run:
        """Show it on a console until it is over: as one view on a terminal, otherwise a line for each change.

        Returns how it ended. Ctrl-C raises KeyboardInterrupt, after a word on it.
        """
        try:
            return self._live(console) if console.is_terminal else self._lines(console)
        except KeyboardInterrupt:
            name, run_id = self.run.pipeline.name, self.run.id
            console.print(
                f"\n{LEFT} `homeport pipeline watch {name} {run_id}` shows it again, "
                f"`homeport pipeline cancel {name} {run_id}` ends it.",
                highlight=False,
                markup=False,
            )
            raise

    def _live(self, console: Console) -> Run:
        with Live(console=console, auto_refresh=False) as live:
            for seen in self.run.follow():
                live.update(view(seen.run, _note(seen)), refresh=True)
        return seen.run

    def _lines(self, console: Console) -> Run:
        before, was_away = None, False
        for seen in self.run.follow():
            lines = [*changes(before, seen.run), *([_note(seen)] if seen.away and not was_away else [])]
            for line in lines:
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            before, was_away = seen.run, bool(seen.away)
        console.print(f"Page: {printable(seen.run.page)}", highlight=False, markup=False, soft_wrap=True)
        return seen.run

    def _in_place(self) -> None:
        """One output that is replaced, from the cell's own thread.

        Messages of a background thread would belong to whatever cell runs by then, and the last one be lost where
        no cell runs any more.
        """
        display = import_module("IPython.display").display  # it is there where a notebook is, and nowhere else
        handle = None
        shown: dict[str, str] = {}
        try:
            for seen in self.run.follow():
                content = _bundle(seen.run, _note(seen))
                if handle is None:
                    handle = display(content, raw=True, display_id=True)
                elif content != shown:
                    handle.update(content, raw=True)
                shown = content
        except KeyboardInterrupt:
            if handle is not None:
                handle.update(_bundle(self.run.details, LEFT), raw=True)


def _bundle(run: Run, note: str) -> dict[str, str]:
    """What a notebook keeps: the table, and the same as text for whoever shows no HTML."""
    console = Console(width=100, no_color=True, force_terminal=False, force_jupyter=False)
    with console.capture() as captured:
        console.print(view(run, note))
    return {"text/html": html(run, note), "text/plain": captured.get()}


def _note(seen: Seen) -> str:
    return f"{printable(seen.away)} Asking again." if seen.away else ""


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")
