"""BAOAB and the Langevin SDE: what is exact, what is of which order."""

import math

import pytest
import torch
from solvers.sde_truths import F64, slope, strong_order

from nde_lab.solvers import (
    SDE,
    Brownian,
    Grid,
    Langevin,
    SolverError,
    choose,
    fitting,
    integrate,
    sdeint,
    solve_sde,
)

K, GAMMA, T, M = 2.0, 0.7, 1.5, 1.3
SPRING = Langevin(lambda q: -K * q, GAMMA, T, M)


def affine(method, h, sde=SPRING):
    """One step on a spring is y' = A y + b z with z standard normal: A (2, 2) and b (2,)."""
    scheme = choose(sde, method)
    t, z = torch.zeros((), dtype=F64), torch.zeros(3, 1, dtype=F64)
    z[2] = math.sqrt(h)
    noise = (z, 0 * z) if scheme.needs_area else z
    rows = scheme.step(sde, t, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=F64), h, noise)
    return rows[:2].T, rows[2]


def stationary(method, h):
    """Covariance S = A S A^T + b b^T that the scheme settles at, (2, 2)."""
    A, b = affine(method, h)
    assert torch.linalg.eigvals(A).abs().max() < 1
    S = torch.linalg.solve(torch.eye(4, dtype=F64) - torch.kron(A, A), torch.outer(b, b).reshape(-1))
    return S.reshape(2, 2)


@pytest.mark.parametrize("h", [0.01, 0.1, 0.5, 1.0, 1.5])  # stable below 2 sqrt(M / K) = 1.61
def test_the_configurational_variance_of_a_spring_is_exact(h):
    S = stationary("baoab", h)
    assert S[0, 0].item() == pytest.approx(T / K, rel=1e-12)
    assert S[0, 1].abs() < 1e-12
    # Not that of the momenta.
    assert S[1, 1].item() == pytest.approx(M * T * (1 - h * h * K / (4 * M)), rel=1e-12)


def test_eulers_variance_is_off_by_a_term_of_first_order():
    sizes = (0.02, 0.04, 0.08)
    errors = [abs(float(stationary("euler", h)[0, 0]) - T / K) for h in sizes]
    assert slope(sizes, errors) == pytest.approx(1.0, abs=0.15) and errors[-1] > 0.1 * T / K
    assert torch.linalg.eigvals(affine("euler", 0.5)[0]).abs().max() > 1  # and it does not survive h = 0.5


@pytest.mark.parametrize("method, order", [("baoab", 2), ("euler", 1), ("srk", 2)])
def test_weak_order(method, order):
    # The covariance from rest after t = 1, against the matrix exponential.
    F = torch.tensor([[0, 1 / M], [-K, -GAMMA]], dtype=F64)
    eye, source = torch.eye(2, dtype=F64), torch.zeros(4, dtype=F64)
    source[3] = 2 * GAMMA * M * T
    G = torch.zeros(5, 5, dtype=F64)
    G[:4, :4], G[:4, 4] = torch.kron(F, eye) + torch.kron(eye, F), source
    truth = torch.matrix_exp(G)[:4, 4].reshape(2, 2)
    errors, counts = [], (8, 16, 32, 64)
    for n in counts:
        A, b = affine(method, 1 / n)
        S = torch.zeros(2, 2, dtype=F64)
        noise = torch.outer(b, b)
        if method == "srk":  # the part of the noise that the area brings
            scheme, z = choose(SPRING, method), torch.ones(1, 1, dtype=F64)
            c = scheme.step(
                SPRING,
                torch.zeros((), dtype=F64),
                torch.zeros(1, 2, dtype=F64),
                1 / n,
                (0 * z, z * math.sqrt(1 / n / 12)),
            )[0]
            noise = noise + torch.outer(c, c)
        for _ in range(n):
            S = A @ S @ A.T + noise
        errors.append(float((S - truth).norm()))
    assert slope(counts, errors) == pytest.approx(-order, abs=0.15)


def test_strong_order_is_one():
    well = Langevin(lambda q: q - q**3, 0.8, 0.5)
    assert strong_order(well, "baoab", channels=1, rows=200, factors=(8, 16, 32, 64)) == pytest.approx(
        1.0, abs=0.1
    )


def test_it_samples_a_double_well():
    well = Langevin(lambda q: q - q**3, 1.0, 0.4)
    end = sdeint(well, torch.zeros(4000, 2), [0.0, 40.0], method="baoab", dt=0.4, seed=0)[-1]
    q = torch.linspace(-3, 3, 2001, dtype=F64)
    density = torch.exp(-(q**4 / 4 - q**2 / 2) / 0.4)
    known = (q**2 * density).sum() / density.sum()
    assert end[:, 0].square().mean().item() == pytest.approx(known.item(), rel=0.05)
    with pytest.raises(SolverError):
        sdeint(well, torch.full((4000, 2), 2.0), [0.0, 40.0], method="euler", dt=0.6, seed=0)


def test_without_friction_it_keeps_the_energy_of_a_pendulum():
    pendulum = Langevin(lambda q: -torch.sin(q), 1e-12, 1.0)
    energy = lambda y: 0.5 * y[..., 1] ** 2 - torch.cos(y[..., 0])  # noqa: E731
    y0 = torch.tensor([[2.0, 0.0]], dtype=F64)
    path = torch.zeros(1000, 1, 1, dtype=F64)
    e = energy(integrate(pendulum, y0, Grid(0.0, 100.0, 1000), path, method="baoab"))
    assert (e - energy(y0)).abs().max() < 5e-3
    e = energy(integrate(pendulum, y0, Grid(0.0, 100.0, 1000), path, method="euler"))
    assert (e - energy(y0)).abs().max() > 1.0


def test_every_scheme_takes_it_and_agrees():
    bm = Brownian.draw(Grid(0.0, 1.0, 512), (20, 1), seed=0, dtype=F64)
    y0 = torch.ones(20, 2, dtype=F64)
    strat = Langevin(lambda q: -K * q, GAMMA, T, M, sde_type="stratonovich")
    assert {"baoab", "srk"} <= set(fitting(SPRING)) and {"baoab", "heun"} <= set(fitting(strat))
    known = sdeint(SPRING, y0, [0.0, 1.0], bm, "srk", dt=1 / 512)[-1]
    for sde, methods in ((SPRING, fitting(SPRING)), (strat, fitting(strat))):
        for method in methods:
            end = sdeint(sde, y0, [0.0, 1.0], bm, method, dt=1 / 512)[-1]
            assert (end - known).abs().max() < 0.03, method
    found = solve_sde(SPRING, y0, [0.0, 1.0], bm, dt=1 / 512, method="baoab")
    assert found.stats["drift_evaluations"] == 1024 and found.stats["diffusion_evaluations"] == 0


def test_parameters_may_be_tensors_with_gradients():
    gamma = torch.tensor(0.7, dtype=F64)
    bm = Brownian.draw(Grid(0.0, 0.5, 5), (2, 2), seed=0, dtype=F64)

    def end(y0, friction, temperature):
        return sdeint(
            Langevin(lambda q: -torch.sin(q), friction, temperature), y0, [0.0, 0.5], bm, "baoab", dt=0.1
        )[-1]

    y0 = torch.linspace(-1, 1, 8, dtype=F64).reshape(2, 4)
    assert torch.autograd.gradcheck(end, [x.clone().requires_grad_() for x in (y0, gamma, 2 * gamma)])


@pytest.mark.parametrize(
    "make, sentence",
    [
        (
            lambda: Langevin(lambda q: q, friction=0.0),
            "friction must be a positive number or a tensor of such, got 0.0",
        ),
        (lambda: Langevin(lambda q: q, temperature=-1), "temperature must be a positive number"),
        (lambda: Langevin(lambda q: q, mass=math.nan), "mass must be a positive number"),
        (lambda: Langevin(lambda q: q, sde_type="itô"), "sde_type must be one of ito, stratonovich"),
        (
            lambda: sdeint(SPRING, torch.ones(2, 3), [0, 1], method="baoab", dt=0.1),
            "even number of columns, got 3",
        ),
        (
            lambda: sdeint(
                SDE(lambda t, y: -y, lambda t, y: torch.ones(2, 2, 1), "additive"),
                torch.ones(2, 2),
                [0, 1],
                method="baoab",
                dt=0.1,
            ),
            "takes a Langevin.force, friction, temperature.",
        ),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
