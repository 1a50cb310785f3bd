"""The side-by-side benchmark runs, compares like with like, and says what is missing."""
import pytest
import torch
from benchmarks import side_by_side as bench


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


def test_no_repeats_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--repeats", "0"])
    assert "--repeats must be at least 1, got 0" in capsys.readouterr().err
