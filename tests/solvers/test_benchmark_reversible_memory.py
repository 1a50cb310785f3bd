"""The benchmark of the reversible adjoint: backpropagation's memory grows, the adjoint's does not."""
import pytest
from benchmarks import reversible_memory as bench


@pytest.mark.slow
def test_backpropagation_grows_and_the_adjoint_does_not(capsys):
    row, = bench.measure([1000])
    assert row["through_mb"] > 20 and row["adjoint_mb"] < 5
    assert "1000 steps   backpropagation" in capsys.readouterr().out


def test_no_steps_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--steps", "0"])
    assert "--steps must be at least 1, got 0" in capsys.readouterr().err
