"""The document of the benchmark of AutoML systems: ranks, bars, what is missing, the drawing."""

import math
import xml.etree.ElementTree as ET
from itertools import product

import pytest

from benchmarks.automl import report
from benchmarks.automl.bars import bars, ratios
from benchmarks.automl.ranks import rank
from benchmarks.automl.results import Run, read_runs, write_runs
from benchmarks.automl.systems import SYSTEMS
from benchmarks.automl.tables import TABLES
from trainer.metrics import METRICS

TITLES = {"homeport": "Homeport", "medium_autogluon": "AutoGluon", "default_lightgbm": "LightGBM's defaults"}
GOOD = {"homeport": 0.0, "medium_autogluon": 1.0, "default_lightgbm": 2.0}  # the order in losses


def run(system, table, seed, worse, budget=60.0, row=1.0, **more):
    """A run whose loss is higher by `worse` per cent of a hundredth."""
    greater = METRICS[table.metric].greater_is_better
    score = 0.9 - worse / 100 if greater else 0.1 + worse / 100
    given = {"seconds": 50.0, "size": 1_000_000, "winner": "lgbm", "call": 10 * row, "versions": {"lightgbm": "4.7.0"}}
    return Run(system=system, table=table.name, budget=budget, seed=seed, score=score, row=row, **(given | more))


def runs(worse=GOOD, seeds=3, tables=TABLES, budget=60.0, rows=None):
    """Every system on every split; `worse` may be a function of table's place and seed."""
    return [
        run(name, table, seed, how(place, seed) if callable(how) else how, budget, (rows or {}).get(name, 1.0))
        for (name, how), (place, table), seed in product(worse.items(), enumerate(tables), range(seeds))
    ]


def line(measured, start):
    budgets = report.by_budget(measured)
    lines = bars(budgets, {budget: rank(given) for budget, given in budgets.items()})
    return next(line for line in lines if line.startswith(start))


def test_ranks_follow_each_metrics_direction():
    ranking = rank(runs())
    assert [(s.system, s.rank) for s in ranking.standings] == [
        ("homeport", 1.0), ("medium_autogluon", 2.0), ("default_lightgbm", 3.0)
    ]  # fmt: skip
    assert ranking.blocks == 3 * len(TABLES)
    assert ranking.standings[1].interval == (2.0, 2.0)
    assert [s.tied for s in ranking.standings] == [True, False, False]
    assert ranking.friedman < 0.001
    # q of three groups at 5 % is 2.343 (Demšar 2006, table 5)
    assert ranking.critical == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * len(TABLES))), abs=0.001)


def test_equal_scores_share_a_rank():
    ranking = rank(runs({"homeport": 0.0, "medium_autogluon": 0.0, "default_lightgbm": 1.0}))
    assert [s.rank for s in ranking.standings] == [1.5, 1.5, 3.0]
    assert [s.tied for s in ranking.standings] == [True, True, False]


def test_ranks_are_averaged_over_splits_before_tables():
    some = runs(seeds=1, tables=TABLES[:1])  # one split of this table, three of the next
    turned = runs({"homeport": 2.0, "medium_autogluon": 1.0, "default_lightgbm": 0.0}, tables=TABLES[1:2])
    assert [s.rank for s in rank(some + turned).standings] == [2.0, 2.0, 2.0]


def test_a_small_distance_is_a_tie_and_few_tables_decide_nothing():
    often = {"homeport": lambda table, _: 2.0 * (table % 2), "medium_autogluon": 1.0, "default_lightgbm": 3.0}
    ranking = rank(runs(often))
    second = ranking.standings[1]
    assert second.behind == pytest.approx(1 / 11)
    assert second.behind_interval[0] < 0 < second.behind_interval[1]
    assert second.tied
    few = rank(runs(tables=TABLES[:4]))
    assert [s.tied for s in few.standings] == [True, None, None]
    assert few.critical is few.friedman is few.standings[0].interval is None


def test_only_splits_with_every_system_are_ranked():
    measured = [r for r in runs() if (r.system, r.table) != ("homeport", "titanic") or r.seed == 1]
    ranking = rank([r for r in measured if (r.system, r.table) != ("default_lightgbm", "wage")])
    assert ranking.blocks == 3 * len(TABLES) - 2 - 3
    assert "wage" not in ranking.tables
    assert rank(runs({"homeport": 1.0})).standings == ()
    assert rank([]).standings == ()


def test_the_bar_of_ranks():
    assert line(runs(), "60 s: mean rank").endswith("of 11 tables 1.00, nobody before it: met")
    behind = runs({"homeport": 1.0, "medium_autogluon": 0.0, "default_lightgbm": 2.0})
    assert line(behind, "60 s: mean rank").endswith("2.00, 1.00 behind AutoGluon (95 %: 1.00 to 1.00): not met")
    turns = {"homeport": lambda table, _: 2.0 * (table % 2 == 0), "medium_autogluon": 1.0, "default_lightgbm": 3.0}
    assert line(runs(turns), "60 s: mean rank").endswith(": met")
    few = {"homeport": 1.0, "medium_autogluon": 0.0, "default_lightgbm": 2.0}
    assert line(runs(few, tables=TABLES[:3]), "60 s: mean rank").endswith("undecided, too few tables")
    assert line(runs(budget=300.0), "60 s: mean rank").endswith("not measured")


@pytest.mark.parametrize(
    ("own", "end"),
    [
        (0.0, "on none of 11 tables: met"),
        # by 0.1 ± 0.115 on the first table: within the error; by 0.2 ± 0.115: beyond it
        (lambda table, seed: 2.0 + (table == 0) * (0.3 if seed == 2 else 0.0), "on none of 11 tables: met"),
        (
            lambda table, seed: 2.0 + (table == 0) * (0.6 if seed == 2 else 0.3),
            "below on bank by 0.004 (standard error 0.001), of 11 tables: not met",
        ),
    ],
)
def test_the_bar_of_lightgbms_defaults(own, end):
    assert line(runs(GOOD | {"homeport": own}), "60 s: never below LightGBM's defaults").endswith(end)


def test_one_split_says_nothing_of_a_difference():
    assert line(runs(seeds=1), "60 s: never below").endswith("not measured")


def test_the_bar_of_cost_has_a_mean_and_a_worst_table():
    measured = runs(rows={"medium_autogluon": 20.0})
    assert line(measured, "60 s: a row costs AutoGluon at least 10 × Homeport, the geometric").endswith("20 ×: met")
    cheap = [r if (r.system, r.table) != ("medium_autogluon", "wage") else run(r.system, TABLES[-1], r.seed, 1, row=5)
             for r in measured]  # fmt: skip
    worst = "60 s: a row costs AutoGluon at least 10 × Homeport, the worst table (wage): 5 ×: not met"
    assert line(cheap, "60 s: a row costs AutoGluon at least 10 × Homeport, the worst") == worst
    assert line([r for r in cheap if r.system != "medium_autogluon"], "60 s: a row costs").endswith("not measured")
    assert ratios(cheap, "medium_autogluon", "homeport", "call")["wage"] == pytest.approx(5)


def test_the_tables_say_what_was_measured():
    spread = GOOD | {"homeport": lambda _, seed: 0.3 * seed}
    text = report.markdown(runs(spread, rows={"medium_autogluon": 20.0}))
    assert "| bank (roc_auc ↑) | **0.8970 ± 0.0017** | 0.8900 ± 0.0000 | 0.8800 ± 0.0000 |" in text
    assert "| ames (rmse ↓) | **0.1030 ± 0.0017** | 0.1100 ± 0.0000 | 0.1200 ± 0.0000 |" in text
    assert "| AutoGluon | 2.00 | 2.00 to 2.00 | 1.00 | 1.00 to 1.00 | behind |" in text
    assert "| AutoGluon | 50.0 (50.0) | 1; 1 × | 20; 20 × | 200; 20 × |" in text
    assert "| wage | 1 | 20; 20 × | 1; 1 × |" in text
    assert "lightgbm 4.7.0 |" in text
    assert "A machine that the runs do not name; 99 runs." in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({row.count("|") for row in block.splitlines()}) == 1, block


def test_what_is_missing_is_said_and_not_called_the_best():
    measured = [r for r in runs() if (r.system, r.table, r.seed) != ("homeport", "bank", 0)]
    text = report.markdown(measured)
    assert "Not measured: Homeport 1 of 33 (bank 0); FLAML alone 33 of 33." in text
    assert "| bank (roc_auc ↑) | 0.9000 ± 0.0000 (2 of 3) | **0.8900 ± 0.0000** |" in text
    assert "over 11 of 11 tables; splits with every system: 32;" in text
    assert "no split of a table has been run" in report.markdown(runs({"homeport": 1.0}))


def test_a_system_is_missed_only_from_its_least_budget_on():
    assert "AutoGluon, best" not in report.markdown(runs())
    assert "AutoGluon, best 33 of 33" in report.markdown(runs(budget=300.0))


def test_runs_of_systems_that_there_no_longer_are_do_not_count():
    old = run("homeport", TABLES[0], 0, 0)
    gone = Run(**{name: getattr(old, name) for name in old.__struct_fields__} | {"system": "gone"})
    assert report.by_budget([old, gone]) == {60.0: [old]}


def test_machines_and_versions_are_those_of_the_runs():
    measured = runs()
    measured.append(run("homeport", TABLES[0], 3, 0, machine="a machine", python="3.12.1", versions={"lightgbm": "5"}))
    text = report.markdown(measured)
    assert text.startswith("a machine, Python 3.12.1; 100 runs.")
    assert "lightgbm 4.7.0 and 5 |" in text


def test_the_document_is_written_between_its_markers_only(tmp_path):
    document = tmp_path / "automl.md"
    document.write_text(f"before\n{report.BEGIN}\nfrom before\n{report.END}\nafter\n")
    for _ in range(2):
        report.write(runs() + runs({"homeport": 0.0}, budget=300.0), tmp_path)
    text = document.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "from before" not in text
    assert text.count("\n## 60 s\n") == text.count("\n## 300 s\n") == 1
    drawing = (tmp_path / "automl.svg").read_text()
    assert ET.fromstring(drawing).tag.endswith("svg")
    assert "currentColor" in drawing
    assert "300 s: mean rank and cost" in drawing


def test_the_project_has_a_place_for_the_document():
    text = (report.Path(report.__file__).parents[2] / "docs" / "benchmarks" / "automl.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_runs_are_read_as_they_were_written_and_as_the_first_ones_were(tmp_path):
    file = tmp_path / "automl.json"
    assert read_runs(file) == []
    write_runs(file, runs())
    assert read_runs(file) == runs()
    file.write_text(
        '[{"system": "homeport", "table": "bank", "budget": 60.0, "seed": 0, "score": 0.95, "seconds": 1.0, "size": 1, '
        '"winner": "lgbm", "row": 1.0, "call": 2.0, "versions": {}}]'
    )
    (old,) = read_runs(file)
    assert old.key == ("homeport", "bank", 60.0, 0)
    assert old.machine == old.python == ""


def test_every_system_has_a_colour_a_program_and_a_title_of_its_own():
    folder = report.Path(report.__file__).parent / "systems"
    assert all((folder / f"{name}.py").is_file() for name in SYSTEMS)
    assert len({system.title for system in SYSTEMS.values()}) == len(SYSTEMS)
    assert {name: SYSTEMS[name].title for name in TITLES} == TITLES
