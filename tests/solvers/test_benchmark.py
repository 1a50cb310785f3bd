import pytest
import torch
from benchmarks.sde_small import BATCH, STATE, NeuralSDE, main, variants


def test_all_variants_solve_the_same_problem():
    torch.manual_seed(0)
    ends = {name: solve(3) for name, solve in variants(NeuralSDE(), torch.zeros(BATCH, STATE)).items()}
    for name, end in ends.items():
        assert end.shape == (BATCH, STATE) and end.requires_grad, name
    means = torch.stack([e.mean() for e in ends.values()])
    spreads = torch.stack([e.std() for e in ends.values()])
    assert means.max() - means.min() < 0.2 and spreads.max() / spreads.min() < 1.3


def test_it_prints_ratios(capsys):
    main(["--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and "batch 128, state 4, width 32, 64 Euler steps" in lines[0]
    assert all(line.endswith(" x") for line in lines[1:]) and " 1.00 x" in lines[1]
    with pytest.raises(SystemExit):
        main(["--repeats", "0"])
