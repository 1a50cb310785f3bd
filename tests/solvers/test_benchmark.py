from importlib.util import find_spec

import pytest
import torch
from benchmarks.sde_small import BATCH, STATE, STEPS, NeuralSDE, gradient_step, main, traced, variants


def test_all_variants_solve_the_same_problem():
    torch.manual_seed(0)
    ends = {name: solve(3) for name, solve in variants(NeuralSDE(), torch.zeros(BATCH, STATE)).items()}
    for name, end in ends.items():
        assert end.shape == (BATCH, STATE) and end.requires_grad, name
    means = torch.stack([e.mean() for e in ends.values()])
    spreads = torch.stack([e.std() for e in ends.values()])
    assert means.max() - means.min() < 0.2 and spreads.max() / spreads.min() < 1.3


def test_the_native_step_has_torchs_gradient():
    torch.manual_seed(0)
    sde, y0 = NeuralSDE(), torch.randn(BATCH, STATE)
    value, grads = traced(sde, y0)[0](3)
    loss = (variants(sde, y0)["nde_lab integrate (as experiments call it)"](3) ** 2).mean()
    expected = torch.autograd.grad(loss, list(sde.parameters()))
    torch.testing.assert_close(value, loss.detach(), rtol=1e-5, atol=1e-6)
    for got, want in zip(grads.values(), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)
    dW = torch.zeros(STEPS, BATCH, STATE)
    assert gradient_step(y0)({n: p.detach() for n, p in sde.named_parameters()}, dW)[0] > 0


def test_it_prints_ratios(capsys):
    main(["--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    rows = lines[1:-1]
    assert len(rows) == 6 + (find_spec("jax") is not None)
    assert "batch 128, state 4, width 32, 64 Euler steps" in lines[0]
    assert all(line.endswith(" x") for line in rows) and " 1.00 x" in rows[0]
    assert "x as fast as torchsde at its best" in lines[-1] and "traced and compiled in" in lines[-1]
    with pytest.raises(SystemExit):
        main(["--repeats", "0"])
