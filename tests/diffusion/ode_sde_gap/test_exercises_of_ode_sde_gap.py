"""The laws behind the chapter's exercises: right answers pass however written, usual mistakes are named."""
import torch
from exercise_laws import exercise_laws

from nde_lab.diffusion.ode_sde_gap import exercises as check


def by_hand(phi, x, t, *, divergence=1.0, half=0.5):
    phi_x, phi_t = torch.autograd.grad(phi(x, t).sum(), (x, t), create_graph=True)
    (phi_xx,) = torch.autograd.grad(phi_x.sum(), x, create_graph=True)
    return phi_t - divergence - x * phi_x - half * (phi_xx + phi_x**2)


def turned(x):
    return torch.stack([-2 * x[:, 0] - 3 * x[:, 1], -2 * x[:, 1] + 3 * x[:, 0]], -1)


def swirl(x):
    """Turning faster further out: still along circles."""
    around = torch.stack([-x[:, 1], x[:, 0]], -1)
    return -2 * x + x.square().sum(-1, keepdim=True) * around


RIGHT = [
    (check.two_drifts, lambda x, s: (x + s / 2, x + s, 1.0)),
    (check.quiet_potential, (1.0, 0.0)),
    (check.residual_by_hand, by_hand),
    (check.unforgiving, 0.0),
    (check.unforgiving, 0.05),
    (check.turning_score, turned),
    (check.turning_score, swirl),
]
WRONG = [
    (check.two_drifts, lambda x, s: (x + s, x + s, 1.0), "your ODE changes the variance"),
    (check.two_drifts, lambda x, s: (-x + s / 2, x + s, 1.0), "your ODE changes the variance"),
    (check.two_drifts, lambda x, s: (x + s / 2, x + s / 2, 1.0), "your ODE is right, but your SDE"),
    (check.two_drifts, lambda x, s: (x + s / 2, x + s / 2, 0.0), "your noise strength is 0"),
    (check.quiet_potential, (1.0, 1.0), r"leaves R = 1; at x = 0 it leaves 1"),
    (check.quiet_potential, (0.5, 0.5), "leaves R = 2"),
    (check.quiet_potential, (0.0, 1.0), "no density"),
    (check.residual_by_hand, lambda *a: by_hand(*a, divergence=-1.0), "off by up to 2"),
    (check.residual_by_hand, lambda *a: by_hand(*a, half=1.0), "off by up to"),
    (check.residual_by_hand, lambda *a: by_hand(*a).sum(), r"yours is \(\)"),
    (check.unforgiving, 0.3, "the noise still helps"),
    (check.unforgiving, 1.2, "the noise still helps"),
    (check.unforgiving, -1.0, "0 ≤ κ ≤ 2"),
    (check.turning_score, lambda x: -2 * x, "it is a gradient"),
    (check.turning_score, lambda x: turned(x) - x, "must be 0 everywhere"),
    (check.turning_score, lambda x: x.sum(-1), r"yours is \(64,\)"),
]
test_right, test_wrong, test_blank, test_all_are_here = exercise_laws(check, RIGHT, WRONG)
