from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SMALL = (
    "--model",
    "ease",
    "--set",
    'evaluate.compare=["popular"]',
    "--set",
    'evaluate.metrics=["ndcg@5","coverage@5"]',
)


def test_a_table_and_a_file(run: Any, data_flags: list[object], here: Path) -> None:
    result = run("evaluate", *data_flags, *SMALL)
    lines = result.stdout.splitlines()
    assert "queries; ± is half of the 95% interval." in lines[0]
    assert lines[1].split() == ["model", "ndcg@5", "coverage@5"]
    figures = {line.split()[0]: line.split()[1:] for line in lines[3:5]}
    stored = json.loads((here / "out" / "evaluation.json").read_text())
    for name, shown in figures.items():
        table = stored["models"][name]["table"]
        row = next(row for row in table if (row["metric"], row["segment"]) == ("ndcg@5", "all"))
        assert shown[0] == f"{row['mean']:.4f}"
        assert shown[1] == f"±{(row['high'] - row['low']) / 2:.4f}"
    assert any(line.startswith("ndcg@5: ") and "difference" in line for line in lines)


def test_json_is_what_is_written(run: Any, data_flags: list[object], here: Path) -> None:
    out = run("evaluate", *data_flags, *SMALL, "--json", "--out", "e.json").stdout
    assert out == (here / "e.json").read_text()
    assert list(json.loads(out)["models"]) == ["ease", "popular"]


def test_the_recipe_of_a_bundle_is_evaluated_where_nothing_is_named(
    run: Any, data_flags: list[object], here: Path
) -> None:
    run("fit", *data_flags, *SMALL, "--out", "out/b", "--quiet")
    direct = json.loads(run("evaluate", *data_flags, *SMALL, "--json").stdout)
    found = json.loads(run("evaluate", "--json").stdout)
    assert found["models"]["ease"]["table"] == direct["models"]["ease"]["table"]
    named = json.loads(run("evaluate", "--bundle", "out/b", "--json", "--set", "evaluate.split=per_user").stdout)
    assert named["split"] == "per_user"


def test_a_bundle_made_from_frames_says_so(run: Any, here: Path, bundle: Path) -> None:
    result = run("evaluate", "--bundle", bundle, code=5)
    assert "does not say which files it was made from" in result.stderr


def test_what_the_data_do_not_allow(run: Any, data_flags: list[object], here: Path) -> None:
    flags = [*data_flags, "--time-kind", "rank", "--model", "popular"]
    result = run("evaluate", *flags, "--set", "evaluate.split=global_time", code=4)
    assert "Try last_out" in result.stderr
    result = run("evaluate", *flags, "--set", "evaluate.metrics=['ndgc@5']", code=4)
    assert "Did you mean 'ndcg'?" in result.stderr
    assert list(here.iterdir()) == []
