"""Networks for log p: derivatives carried forward equal autograd's; models side by side do not touch."""
import pytest
import torch

from nde_lab.autodiff import trace, value_and_grad
from nde_lab.lowering import lower
from nde_lab.diffusion.ode_sde_gap.potential import Potential
from nde_lab.diffusion.ode_sde_gap.residual import derivatives, residual, residual_1d
from nde_lab.random import sample

T64 = torch.float64
NET = Potential(8)


def params(models=2, seed=0):
    made = NET.init(sample(NET.draws, seed=seed, stream="start", dtype=T64), models)
    # Models that differ, or a mix-up of axes would not show.
    factor = torch.linspace(1, 1.5, models, dtype=T64)
    return {n: p * factor.reshape(-1, *[1] * (p.dim() - 1)) for n, p in made.items()}


def points(n=15):
    g = torch.Generator().manual_seed(1)
    return 3 * torch.randn(n, generator=g, dtype=T64), 3 * torch.rand(n, generator=g, dtype=T64)


@pytest.mark.parametrize("model", [0, 1])
def test_jets_are_autograds_derivatives(model):
    p, (x, t) = params(), points()
    jet = NET.jet(p, x, t)
    d = derivatives(lambda x, t: NET.value(p, x[:, 0], t)[model], x[:, None], t)
    for got, expected in zip(jet, (d.value, d.gradient[:, 0], d.laplacian, d.rate), strict=True):
        assert torch.allclose(got[model], expected, rtol=1e-10, atol=1e-10)
    rest = residual(lambda x, t: NET.value(p, x[:, 0], t)[model], x[:, None], t)
    assert torch.allclose(residual_1d(x, jet.rate, jet.slope, jet.bend)[model], rest, atol=1e-9)


def test_score_and_value_are_parts_of_the_jet():
    p, (x, t) = params(), points()
    jet = NET.jet(p, x, t)
    assert torch.allclose(NET.value(p, x, t), jet.value) and torch.allclose(NET.score(p, x, t), jet.slope)
    own = torch.stack([x, -x])                                   # every model at its own places, one time
    both = NET.score(p, own, t[0])
    assert torch.allclose(both[1], NET.score(p, -x, t[0])[1])


def test_far_out_the_base_pulls_back():
    p = params()
    far = torch.tensor([-30.0, 30.0], dtype=T64)
    assert (NET.score(p, far, torch.tensor(1.0, dtype=T64)) * far < -1500).all()


def test_gradients_of_the_residual_loss_against_finite_differences():
    p, (x, t) = params(1), points()

    def loss(p):
        jet = NET.jet(p, x, t)
        return residual_1d(x, jet.rate, jet.slope, jet.bend).square().mean()

    _, grads = value_and_grad(loss, p)
    h = 1e-6
    for name in p:
        at = (0,) * p[name].dim()
        moved = []
        for sign in (1, -1):
            shifted = p[name].clone()
            shifted[at] += sign * h
            moved.append(float(loss(p | {name: shifted})))
        assert float(grads[name][at]) == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-5, abs=1e-7)


def test_the_double_gradient_is_the_gradient_of_the_jets_also_traced_and_lowered():
    """Autograd's residual inside ``value_and_grad``: eager, recorded (``trace`` compares), and lowered."""
    (x, t), p = (v.float() for v in points()), {n: v.float() for n, v in params(1).items()}

    def by_autograd(p, x, t):
        return value_and_grad(lambda q: residual(lambda x, t: NET.value(q, x[:, 0], t)[0], x[:, None], t)
                              .square().mean(), p)

    def by_jets(p):
        jet = NET.jet(p, x, t)
        return residual_1d(x, jet.rate, jet.slope, jet.bend).square().mean()

    (value, grads), (own, own_grads) = by_autograd(p, x, t), value_and_grad(by_jets, p)
    assert torch.allclose(value, own, rtol=1e-4)
    for n in p:
        size = 1 + float(own_grads[n].abs().max())
        assert torch.allclose(grads[n], own_grads[n], rtol=1e-3, atol=1e-3 * size), n
    graph = trace(by_autograd, (p, x, t))
    assert "f" in lower({"f": graph}).manifest["programs"]


def test_copies_of_one_start_are_equal_and_independent():
    made = NET.init(sample(NET.draws, seed=0, stream="start"), 3)
    assert {n: tuple(p.shape) for n, p in made.items()} == {n: (3, *s) for n, s in NET.shapes.items()}
    made["net.w2"][0] += 1
    first, second, third = made["net.w2"]
    assert torch.equal(second, third) and not torch.equal(first, second)


@pytest.mark.parametrize("width", [0, 2.5, True])
def test_a_bad_width_is_refused(width):
    with pytest.raises(ValueError, match="whole number, at least 1"):
        Potential(width)
