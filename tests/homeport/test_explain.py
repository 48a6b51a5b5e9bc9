"""`homeport explain`: the drawing, and the command against a server that explains."""

import json

import pytest
from rich.console import Console

from homeport.explain import drawing
from tests.homeport.test_commands import homeport


def drawn(row, contributions, prediction=0.41, base=0.112, output="probability of yes"):
    console = Console(width=100, force_terminal=False, no_color=True)
    with console.capture() as captured:
        console.print(
            drawing(0, row, {"output": output, "prediction": prediction, "base": base, "contributions": contributions})
        )
    return captured.get().splitlines()


def test_bars_have_sides_lengths_signs_and_values():
    row = {"duration": 1042, "month": "may", "rate": -1.8, "age": None}
    title, duration, month, rate, age, _ = drawn(row, {"duration": 0.4, "month": -0.2, "rate": 0.0125, "age": -1e-5})
    assert title == "Row 0: probability of yes 0.410 = base 0.112 + contributions"
    assert duration.split() == ["duration", "=", "1042", "│████████████████", "+0.400"]
    assert month.split() == ["month", "=", "may", "████████│", "-0.200"]
    assert rate.split() == ["rate", "=", "-1.8", "│▌", "+0.013"]
    assert age.split() == ["age", "=", "missing", "│", "+0.000"]
    assert len({line.index("│") for line in (duration, month, rate, age)}) == 1


def test_the_many_small_ones_are_one_line():
    contributions = {f"c{place}": (-1) ** place / (place + 1) for place in range(40)} | {"same": 0.0}
    lines = drawn({}, contributions)
    assert lines[13].split()[:2] == ["29", "others"]
    shown = [float(line.split()[-1]) for line in lines[1:14]]
    assert sum(shown) == pytest.approx(sum(contributions.values()), abs=0.01)


def test_large_values_have_no_decimals_and_nothing_moves_nothing():
    assert "+25,300" in drawn({"area": 80.5}, {"area": 25_300.4}, 185_300.4, 160_000.0, "value of price")[1]
    assert drawn({"a": 1}, {"a": 0.0}, 0.0, 0.0)[1].split() == ["1", "other", "│", "+0.000"]


def test_names_and_values_cannot_write_on_the_terminal():
    lines = drawn({"[red]x": "\x1b[31m[bold]\n" + "y" * 100}, {"[red]x": 0.5})
    assert "[red]x = " in lines[1]
    assert "[bold]" in lines[1]
    assert "\x1b" not in "".join(lines)
    assert "…" in lines[1]


def test_the_command_draws_or_prints(endpoint, shop_rows, tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps({"Inputs": {"data": shop_rows[:45]}}))
    key = endpoint.client.headers["Authorization"].removeprefix("Bearer ")
    common = ("--url", endpoint.url, "--key", key)
    answer = json.loads(homeport("explain", "rows.json", "--json", *common, folder=tmp_path).stdout)
    assert len(answer["rows"]) == 45
    assert answer["rows"][0]["class"] == "yes"
    output = homeport("explain", "-", "--class", "no", *common, folder=tmp_path, stdin=json.dumps(shop_rows[2]))
    assert "Row 0: probability of no" in output.stdout
    assert f"age = {shop_rows[2]['age']}" in output.stdout
    refused = homeport("explain", "-", "--class", "x", *common, folder=tmp_path, stdin="[]", code=1).stderr
    assert "/explain answered 400: 'class' should be one of" in refused
