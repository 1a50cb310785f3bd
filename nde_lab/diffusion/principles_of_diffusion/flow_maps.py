"""Flow maps: the solution of the probability-flow ODE as a function, exact for Gaussian data.

Psi_{t -> r}(x) is where the flow takes x from time t to time r. For data N(centre, spread^2) it only shifts
and scales: it keeps (x - m centre) / sqrt(m^2 spread^2 + s^2) as it is (Lai et al. 2025, flow maps).
"""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nde_lab.autodiff import value_and_grad
from nde_lab.diffusion.score_sde import Process


@dataclass(frozen=True)
class GaussianFlow:
    """The flow of one process for data N(centre, spread^2) in each coordinate. spread positive."""
    process: Process
    centre: float = 0.0
    spread: float = 1.0

    def __post_init__(self):
        if not self.spread > 0:
            raise ValueError(f"the data's spread must be positive, got {self.spread!r}")

    def size(self, t) -> Tensor:
        """Standard deviation of x_t."""
        return ((self.process.mean(t) * self.spread).square() + self.process.std(t).square()).sqrt()

    def score(self, t, x: Tensor) -> Tensor:
        """(m centre - x) / size^2."""
        return (self.process.mean(t) * self.centre - x) / self.size(t).square()

    def velocity(self, t, x: Tensor) -> Tensor:
        """dx/dt of the flow."""
        return self.process.flow(self.score)(t, x)

    def map(self, t, r, x: Tensor) -> Tensor:
        """Psi_{t -> r}(x); r before or after t, x of any shape."""
        at, to = self.process.mean(t), self.process.mean(r)
        return to * self.centre + self.size(r) / self.size(t) * (x - at * self.centre)

    def mean_velocity(self, t, r, x: Tensor) -> Tensor:
        """u(x, t, r): displacement over time from t to r, (x - Psi_{t -> r}(x)) / (t - r). r and t differ."""
        return (x - self.map(t, r, x)) / (t - r)


def mean_velocity_gap(flow: GaussianFlow, t: Tensor, r: Tensor, x: Tensor) -> Tensor:
    """u - (v - (t - r) du/dt) at rows x (B, 1), zero for a mean velocity; du/dt = u_t + v u_x along the flow.

    t and r: (B, 1). Derivatives by autograd; each row depends on its own entries alone.
    """
    _, grads = value_and_grad(lambda p: flow.mean_velocity(p["t"], r, p["x"]).sum(), {"t": t, "x": x})
    v = flow.velocity(t, x)
    along = grads["t"] + v * grads["x"]
    return flow.mean_velocity(t, r, x) - (v - (t - r) * along)
