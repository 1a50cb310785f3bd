"""What every scheme declares: its calculus, the noise it can take, and how fast it converges."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nde_lab.solvers.sde import SDE


class Scheme:
    """One way to take a step. Subclasses are final: they declare the attributes and define ``step``.

    name: the registry's word. calculus: "ito" or "stratonovich". strong_order: order of E|Y_n - Y(T)| for
    each noise type that the scheme takes. weak_order: order of |E phi(Y_n) - E phi(Y(T))| for smooth phi,
    the least over the noise types.
    evaluations: drift and diffusion evaluations a step; starts_with: those before the first step. needs_area:
    ``step`` takes the pair (dW, H) where others take dW, H the space-time area of the step (see ``srk``).

    Most schemes carry the state from step to step and nothing else. One that carries more (``reversible_heun``)
    overrides ``start`` and ``read``: a carry is then a tuple of tensors whose first entry is the state.
    """
    name: str
    calculus: str
    strong_order: Mapping[str, float]
    weak_order: float
    evaluations: tuple[int, int]
    starts_with: tuple[int, int] = (0, 0)
    needs_area: bool = False

    @property
    def noise_types(self) -> tuple[str, ...]:
        """The noise types that the scheme takes."""
        return tuple(self.strong_order)

    def takes(self, sde: SDE) -> bool:
        """Whether the scheme converges to this SDE's solution."""
        return self.calculus == sde.sde_type and sde.noise_type in self.noise_types

    def start(self, sde: SDE, t: Tensor, y: Tensor):
        """What is carried into the first step, from the state (B, D) at the first time t: here the state."""
        return y

    def read(self, carry) -> Tensor:
        """The state (B, D) in a carry."""
        return carry

    def step(self, sde: SDE, t: Tensor, carry, dt, dW):
        """The carry at t + dt. t: 0-d tensor; carry: the state (B, D), or as ``start`` makes it; dt: number or
        0-d tensor; dW: (B, m), or the pair (dW, H) of such for schemes that need the area."""
        raise TypeError(f"{type(self).__name__} does not define step(sde, t, carry, dt, dW)")

    def cost(self, sde: SDE) -> tuple[int, int]:
        """Drift and diffusion evaluations a step for this SDE."""
        return self.evaluations

    def check(self, sde: SDE, t: Tensor, y: Tensor) -> None:
        """Refuse, with a ValueError, what the declarations cannot say. Called once before a solve."""
