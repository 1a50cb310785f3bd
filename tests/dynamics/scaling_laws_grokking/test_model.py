"""The energy, its gradient and closed forms; what the output layer sends back."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.autodiff import value_and_grad
from nde_lab.dynamics.scaling_laws_grokking.groups import group, modes
from nde_lab.dynamics.scaling_laws_grokking.model import (
    act,
    centred,
    climb,
    energies,
    inputs,
    preactivation,
    project,
    ridge,
    sent_back,
    sent_back_at_the_end,
    sent_back_sizes,
    signal,
    targets,
)

T64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=T64, generator=torch.Generator().manual_seed(seed))


def part(G, seed=0, p=0.6):
    return (torch.rand(G.M**2, generator=torch.Generator().manual_seed(seed)) < p).to(T64)


@pytest.mark.parametrize("name", ["Z7", "D3"])
def test_features_are_those_of_one_hot_inputs(name):
    G, W = group(name), normal(2 * group(name).M, 5)
    assert torch.allclose(preactivation(W), inputs(G, dtype=T64) @ W)
    assert torch.equal(targets(G, dtype=T64).argmax(1), torch.as_tensor(G.table.reshape(-1)))


@settings(max_examples=20, deadline=None)
@given(M=st.integers(3, 24), seed=st.integers(0, 1000))
def test_the_energy_multiplies_the_spectra_of_the_halves(M, seed):
    """E = M sum x_k z_k for pairs of frequencies, twice that for the alternating one (derived in the chapter)."""
    w = normal(2 * M, 1, seed=seed)
    made = modes(f"Z{M}")
    x, z = made.power(w[:M, 0].numpy()), made.power(w[M:, 0].numpy())
    factor = np.array([0.0] + [2.0 if kind == "real" else 1.0 for kind in made.kind[1:]])
    E = float(energies(w, targets(group(f"Z{M}"), dtype=T64), torch.ones(M * M, dtype=T64))[0])
    assert pytest.approx(M * float((factor * x * z).sum()), rel=1e-9, abs=1e-9) == E


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(["Z7", "Z12", "D4", "S4", "Q8", "Z3xZ3"]), seed=st.integers(0, 1000))
def test_no_unit_vector_lies_above_the_top_energy(name, seed):
    G = group(name)
    W = normal(2 * G.M, 50, seed=seed)
    E = energies(W / W.norm(dim=0), targets(G, dtype=T64), torch.ones(G.M**2, dtype=T64))
    assert float(E.max()) <= np.nanmax(modes(name).top_energy())


@pytest.mark.parametrize("name", ["square", "relu", "tanh"])
def test_gradient_of_the_energy_against_finite_differences_and_the_papers_formula(name):
    G, W = group("Z5"), normal(10, 3)
    Y, seen = targets(G, dtype=T64), part(G)
    _, grad = value_and_grad(lambda p: energies(p["W"], Y, seen, name=name).sum(), {"W": W})
    D, h = normal(10, 3, seed=1), 1e-6
    up, down = (energies(W + s * h * D, Y, seen, name=name).sum() for s in (1, -1))
    assert float((grad["W"] * D).sum()) == pytest.approx(float(up - down) / (2 * h), rel=1e-6)
    Z = preactivation(W).requires_grad_()
    slope, = torch.autograd.grad(act(name, Z).sum(), Z)
    Yc = centred(Y, seen)
    formula = inputs(G, dtype=T64).T @ (slope * (Yc @ (Yc.T @ act(name, Z.detach()))))
    assert torch.allclose(grad["W"], formula)


def test_a_linear_activation_has_no_energy_at_all():
    G = group("D4")
    E = energies(normal(16, 4), targets(G, dtype=T64), torch.ones(64, dtype=T64), name="identity")
    assert float(E.abs().max()) < 1e-20


def test_the_energy_does_not_depend_on_phases_or_on_unseen_pairs():
    G, m = group("Z11"), np.arange(11)
    Y, seen = targets(G, dtype=T64), torch.ones(121, dtype=T64)
    W = torch.as_tensor(np.stack([np.r_[np.cos(2 * np.pi * 3 * m / 11 + a), np.cos(2 * np.pi * 3 * m / 11 + b)]
                                  for a, b in ((0, 0), (1, 2), (0.3, -2))], 1)) / 11**0.5
    assert torch.allclose(energies(W, Y, seen), torch.full((3,), 11 / 4, dtype=T64))
    some = part(G)
    spoiled = torch.where(some[:, None] > 0, Y, 99.0)
    assert torch.allclose(energies(W, Y, some), energies(W, spoiled, some))


@settings(max_examples=10, deadline=None)
@given(name=st.sampled_from(["Z6", "Z11", "D3", "Z2xZ4"]), p=st.floats(0.3, 1.0), seed=st.integers(0, 100))
def test_ascent_stays_on_the_sphere_and_climbs(name, p, seed):
    G, Y = group(name), targets(group(name), dtype=T64)
    seen, W = part(G, seed, p), normal(2 * G.M, 8, seed=seed)
    W = W / W.norm(dim=0)
    before = energies(W, Y, seen)
    for _ in range(30):
        W = climb(W, Y, seen, 0.02)
    assert torch.allclose(W.norm(dim=0), torch.ones(8, dtype=T64))
    assert (energies(W, Y, seen) >= before - 1e-9).all()


def stage_one(n=40, K=60, M=7):
    keep = torch.randperm(M * M, generator=torch.Generator().manual_seed(0))[:n]
    return preactivation(normal(2 * M, K))[keep].square(), targets(group(f"Z{M}"), dtype=T64)[keep]


def test_sent_back_is_minus_the_gradient_at_the_features():
    F, Y = stage_one()
    V = normal(60, 7, seed=3)
    loss = lambda p: 0.5 * project(Y - p["F"] @ V).square().sum()  # noqa: E731
    _, grad = value_and_grad(loss, {"F": F})
    assert torch.allclose(-grad["F"], sent_back(F, Y, V))


@pytest.mark.parametrize("K", [20, 60])
def test_the_closed_form_at_the_end_of_stage_one(K):
    F, Y = stage_one(K=K)
    V = ridge(F, Y, 0.3)
    A = project(F)
    assert torch.allclose(A.T @ project(Y - A @ V), 0.3 * V)          # no force is left on V
    assert torch.allclose(sent_back(A, Y, V), sent_back_at_the_end(F, Y, 0.3), atol=1e-10)


def test_sizes_without_forming_the_gradient():
    G = group("Z5")
    F, V, Y, seen = normal(25, 9), normal(9, 5, seed=1), targets(G, dtype=T64), part(G)
    R = seen[:, None] * normal(25, 5, seed=2)
    G_F, keep = R @ V.T, seen > 0
    S = torch.zeros_like(F)
    S[keep] = signal(F[keep], Y[keep])
    size, along = sent_back_sizes(F, R, V, Y, seen)
    assert float(size) == pytest.approx(float(G_F.norm()))
    assert float(along) == pytest.approx(float((G_F * S).sum() / S.norm()))


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="unknown activation"):
        act("cube", torch.zeros(1))
