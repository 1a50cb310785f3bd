"""The side-by-side benchmark runs, compares like with like, and says what is missing."""
import json
from pathlib import Path

import pytest
import torch
from benchmarks import side_by_side as bench
from benchmarks._cases import sizes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sde", "rk4", "dopri5"])
def test_a_small_case_of_each_problem_runs_and_the_variants_agree(kind):
    case = bench.Case(kind, batch=4, state=2, width=4, steps=4)
    variants = bench.problem(kind, 4, 2, 4, 4, gradient=False).variants
    row = bench.measure(case, gradient=True, repeats=1)
    assert set(row["ms"]) >= set(variants) - {"diffrax, UnsafeBrownianPath"} and min(row["ms"].values()) > 0
    ends = {name: torch.as_tensor(solve(3)) for name, solve in variants.items() if name.startswith("nde_lab")}
    for name, end in ends.items():
        near = 1e-3 if kind == "dopri5" else 2e-4 if name.endswith("odeint") else 1e-6
        torch.testing.assert_close(end, ends["nde_lab"], rtol=near, atol=near, msg=name)
    text = bench.as_text([row])
    assert str(case) in text and ("ends" in text) == (kind == "dopri5")


def test_one_size_changes_at_a_time():
    middle = bench.Case("sde")
    for case in bench.cases(quick=False):
        names = ("batch", "state", "width", "steps")
        assert sum(getattr(case, n) != getattr(middle, n) for n in names) <= 1
    assert [c.kind for c in bench.cases(quick=True)] == ["sde", "rk4", "dopri5"]


def row(kind, what, ms, **sizes):
    size = {"batch": 128, "state": 4, "width": 32, "steps": 64} | sizes
    return {"kind": kind, "what": what, "ms": ms, "products_ms": 0.5, "missing": [], **size}


def test_a_table_holds_ratios_to_ours_and_a_dash_for_what_is_not_there():
    rows = [row("rk4", what, {"nde_lab": ours, "torchdiffeq": 3.0, "nde_lab odeint": 24.0}, **size)
            for what, ours in (("forward", 2.0), ("gradient", 4.0))
            for size in [{}, *({n: v} for n, values in sizes("rk4").items() for v in (values[0], values[-1]))]]
    lines = bench.as_markdown(rows).splitlines()
    assert lines[2] == ("| case | ours, ms | our `odeint` | torchdiffeq | ours, native | jax, by hand | "
                        "products alone |")
    assert lines[4] == "| middle | 2.0 / 4.0 | 12.0 / 6.00 | 1.50 / 0.75 | - / - | - / - | 0.25 / 0.12 |"
    assert [line.split(" | ")[0][2:] for line in lines[5:]] == [
        "steps 16", "steps 1024", "batch 8", "batch 512", "width 8", "width 128", "state 2", "state 16"]


def test_the_books_tables_are_those_of_the_stored_rows():
    stored = json.loads((ROOT / "benchmarks/results/side_by_side.json").read_text(encoding="utf-8"))
    text = (ROOT / "book/solvers.md").read_text(encoding="utf-8")
    assert bench.as_markdown(stored["rows"]) in text
    assert all(f"{name} {version}" in " ".join(text.split()) for name, version in stored["versions"].items())


def test_no_repeats_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--repeats", "0"])
    assert "--repeats must be at least 1, got 0" in capsys.readouterr().err
