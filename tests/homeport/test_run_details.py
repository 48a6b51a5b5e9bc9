"""A run as it is shown: on a terminal, in a file, in a notebook."""

import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from homeport.pipelines import Job, PipelineService
from homeport.run_details import RunDetails
from homeport.run_html import html
from homeport.run_view import view
from homeport.run_words import duration, figures, moment
from tests.homeport.pipeline_service import STEPS, FakePipelineService


@pytest.fixture
def fake():
    with FakePipelineService() as service:
        yield service


@pytest.fixture
def bank(fake):
    return PipelineService(fake.url, fake.key, poll_seconds=0.0).publish("bank", Job("bank-marketing"))


def drawn(run, note=""):
    console = Console(file=io.StringIO(), width=100)
    console.print(view(run, note))
    return console.file.getvalue()


def until(run, condition):
    """The run, at the first look at which the condition holds."""
    return next(seen.run for seen in run.follow() if condition(seen.run))


def test_a_running_search_is_shown_with_its_share_and_its_best(bank):
    seen = until(bank.submit("first"), lambda run: run.step("train").metrics)
    text = drawn(seen)
    assert "bank, first: run " in text
    assert re.search(r"✓ +validate +Completed +[\d.]+ s +rows 4521", text)
    assert re.search(r"● +train +Running .* 37%", text)
    assert "trial 37, lgbm, best roc_auc 0.9481" in text
    assert re.search(r"○ +promote", text)


def test_what_came_of_a_run_is_its_last_word(fake, bank):
    assert "Promoted: version 2 is the champion." in drawn(until(bank.submit(), lambda run: run.is_over))
    fake.promotes = False
    assert "Not promoted version 2: AUC_weighted 0.9481 is not above" in drawn(
        until(bank.submit(), lambda run: run.is_over)
    )
    fake.fails_at = "validate"
    failed = drawn(until(bank.submit(), lambda run: run.is_over))
    assert "Failed in step validate: the table has no column 'y'" in failed
    assert "↺" in failed  # ingest, whose result was there


def test_a_terminal_gets_one_view_that_changes(bank):
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    assert RunDetails(bank.submit()).watch(console).status == "Completed"
    text = console.file.getvalue()
    assert "\x1b[1A" in text  # the cursor goes back up
    assert "92%" in text
    assert "Promoted: version 2" in text.splitlines()[-3]


def test_a_file_gets_a_line_for_each_change_and_no_control_characters(bank):
    console = Console(file=io.StringIO(), width=40)
    RunDetails(bank.submit()).watch(console)
    text = console.file.getvalue()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert len(lines) == len(set(lines))
    for step in STEPS[:-1]:
        assert any(line.startswith(f"  ✓ {step}: Completed") for line in lines)
    assert lines[-1].startswith("Page: http://127.0.0.1:4200/runs/")


def test_a_service_that_is_away_for_a_while_is_said_once(fake, bank):
    run = bank.submit()
    console = Console(file=io.StringIO(), width=200)

    class Restarted:
        """The run, whose service is away for two looks."""

        pipeline, id = run.pipeline, run.id

        def follow(self):
            looks = run.follow()
            yield next(looks)
            fake.__exit__()
            yield next(looks)
            yield next(looks)
            fake.__enter__()
            yield from looks

    RunDetails(Restarted()).watch(console)
    assert console.file.getvalue().count("Asking again.") == 1
    assert "Completed in" in console.file.getvalue()


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_come_back(fake, bank):
    run = bank.submit()

    class Left:
        pipeline, id = run.pipeline, run.id

        def follow(self):
            yield next(run.follow())
            raise KeyboardInterrupt

    console = Console(file=io.StringIO(), width=60)
    with pytest.raises(KeyboardInterrupt):
        RunDetails(Left()).watch(console)
    assert f"homeport pipeline watch bank {run.id}" in " ".join(console.file.getvalue().split())
    assert not any("cancel" in asked for asked in fake.asked)


class Notebook:
    """As much of IPython as a cell's output takes, for where there is none."""

    def __init__(self):
        self.bundles, self.updates = [], []

    def get_ipython(self):
        return SimpleNamespace(kernel=True)

    def update(self, content, *, raw):
        assert raw
        self.updates.append(content)

    def display(self, content, *, raw, display_id):
        assert raw
        assert display_id
        self.bundles.append(content)
        return SimpleNamespace(update=self.update)


@pytest.fixture
def notebook(monkeypatch):
    found = Notebook()
    monkeypatch.setitem(sys.modules, "IPython", found)
    monkeypatch.setitem(sys.modules, "IPython.display", found)
    return found


def test_a_notebook_gets_one_output_that_is_replaced(bank, notebook):
    RunDetails(bank.submit("first")).show()
    assert len(notebook.bundles) == 1
    assert "ingest" in notebook.bundles[0]["text/html"]
    last = notebook.updates[-1]
    assert "Promoted: version 2 is the champion." in last["text/html"]
    assert "Promoted: version 2 is the champion." in last["text/plain"]
    assert any("width:37%" in update["text/html"] for update in notebook.updates)
    assert all(one != other for one, other in zip(notebook.updates, notebook.updates[1:], strict=False))


def test_a_script_gets_no_html(bank, capsys):
    RunDetails(bank.submit()).show()
    said = capsys.readouterr().out
    assert "<" not in said
    assert "Promoted: version 2 is the champion." in said


def test_what_others_wrote_is_no_markup_and_moves_no_cursor(bank):
    seen = until(bank.submit("<script>[red]\x1b[2J"), lambda run: run.is_over)
    assert "<script>" not in html(seen, "<b>note")
    assert "&lt;b&gt;note" in html(seen, "<b>note")
    assert "<script>[red] [2J" in drawn(seen)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (9.96, "10 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")],
)
def test_times_are_short(seconds, text):
    assert duration(seconds) == text


def test_the_metrics_that_say_most_come_first():
    assert figures({"rows": 4521, "accuracy": 0.91712, "roc_auc": 0.94812, "f1": 0.7}) == (
        "roc_auc 0.9481  accuracy 0.9171  rows 4521  +1"
    )
    assert moment("2026-12-01T06:00:00+01:00") == "2026-12-01 06:00:00 +0100"
    assert moment(None) == "-"
