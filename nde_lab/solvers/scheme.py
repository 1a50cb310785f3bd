"""What every scheme declares: its calculus, the noise it can take, and how fast it converges."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nde_lab.solvers.sde import SDE


class Scheme:
    """One way to take a step. Subclasses are final: they declare the attributes and define ``step``.

    name: the registry's word. calculus: "ito" or "stratonovich". strong_order: order of E|Y_n - Y(T)| for
    each noise type that the scheme takes. weak_order: order of |E phi(Y_n) - E phi(Y(T))| for smooth phi.
    evaluations: drift and diffusion evaluations a step.
    """
    name: str
    calculus: str
    strong_order: Mapping[str, float]
    weak_order: float
    evaluations: tuple[int, int]

    @property
    def noise_types(self) -> tuple[str, ...]:
        """The noise types that the scheme takes."""
        return tuple(self.strong_order)

    def step(self, sde: SDE, t: Tensor, y: Tensor, dt, dW: Tensor) -> Tensor:
        """The state at t + dt, (B, D). t: 0-d tensor; y: (B, D); dt: number or 0-d tensor; dW: (B, m)."""
        raise TypeError(f"{type(self).__name__} does not define step(sde, t, y, dt, dW)")

    def check(self, sde: SDE, t: Tensor, y: Tensor) -> None:
        """Refuse, with a ValueError, what the declarations cannot say. Called once before a solve."""
