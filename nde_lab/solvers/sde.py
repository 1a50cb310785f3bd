"""What a solver is given: an SDE dY = f(t, Y) dt + g(t, Y) dW, in torchsde's conventions.

State Y: (B, D), one row per path. Brownian motion: (B, m). Drift f: (B, D). Diffusion g, by noise type:

    diagonal  (B, D)     g_i dW_i: one Brownian motion per coordinate, m = D
    additive  (B, D, m)  g depends on time only
    scalar    (B, D, 1)  one Brownian motion for all coordinates
    general   (B, D, m)

``sde_type`` is "ito" or "stratonovich": the same f and g mean different processes unless noise is additive.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

NOISE_TYPES = ("diagonal", "additive", "scalar", "general")
SDE_TYPES = ("ito", "stratonovich")
# What an object may define, by torchsde's words for it, and the method names that are understood.
ROLES = {"drift": ("f", "drift"), "diffusion": ("g", "diffusion"), "prior_drift": ("h", "prior_drift"),
         "drift_and_diffusion": ("f_and_g",), "drift_and_diffusion_prod": ("f_and_g_prod",)}


@dataclass(frozen=True)
class SDE:
    """dY = drift(t, Y) dt + diffusion(t, Y) dW from two functions of a 0-d time and a (B, D) state.

    ``joint(t, y) -> (drift, diffusion)``, if given, is called where both are needed. ``prior`` is a second
    drift, (B, D), for the path KL (``nde_lab.solvers.path_kl``). ``f``, ``g`` and ``h`` are the names under
    which torchsde asks for them, so an ``SDE`` works with torchsde too.
    """
    drift: Callable[[Tensor, Tensor], Tensor]
    diffusion: Callable[[Tensor, Tensor], Tensor]
    noise_type: str = "diagonal"
    sde_type: str = "ito"
    joint: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    prior: Callable[[Tensor, Tensor], Tensor] | None = None

    def __post_init__(self):
        for name, value, known in (("noise_type", self.noise_type, NOISE_TYPES),
                                   ("sde_type", self.sde_type, SDE_TYPES)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")

    def f(self, t, y):
        return self.drift(t, y)

    def g(self, t, y):
        return self.diffusion(t, y)

    def h(self, t, y):
        if self.prior is None:
            raise ValueError("this SDE has no prior drift; give SDE(..., prior=h)")
        return self.prior(t, y)

    def both(self, t, y) -> tuple[Tensor, Tensor]:
        """Drift and diffusion at one point."""
        return self.joint(t, y) if self.joint is not None else (self.drift(t, y), self.diffusion(t, y))

    def noise(self, g: Tensor, dW: Tensor) -> Tensor:
        """g dW, (B, D): elementwise for diagonal noise, a matrix-vector product per row otherwise."""
        if self.noise_type == "diagonal":
            return g * dW
        if self.noise_type == "scalar":
            return g[..., 0] * dW
        return (g * dW.unsqueeze(-2)).sum(-1)

    def noise_cotangent(self, a: Tensor, dW: Tensor) -> Tensor:
        """What a cotangent a (B, D) of g dW means for g: the transpose of ``noise`` in its first argument."""
        return a * dW if self.noise_type == "diagonal" else a.unsqueeze(-1) * dW.unsqueeze(-2)


def as_sde(sde, names: Mapping[str, str] | None = None) -> SDE:
    """Read drift, diffusion, noise type and calculus off any object, in torchsde's or in plain words.

    Drift: the method ``f`` or ``drift``; diffusion: ``g`` or ``diffusion``; or both at once: ``f_and_g``; prior
    drift, if any: ``h`` or ``prior_drift``. ``names`` renames them: ``{"drift": "foo", "diffusion": "bar",
    "prior_drift": "qux", "drift_and_diffusion": "baz"}``. Raises ValueError, naming what is missing.
    """
    if isinstance(sde, SDE) and not names:
        return sde
    for attribute, known in (("noise_type", NOISE_TYPES), ("sde_type", SDE_TYPES)):
        if not hasattr(sde, attribute):
            raise ValueError(f"{type(sde).__name__} does not say its {attribute}; set the attribute to one "
                             f"of {', '.join(known)}")
    names = dict(names or {})
    if unknown := set(names) - set(ROLES):
        raise ValueError(f"names may rename {', '.join(ROLES)}; got {sorted(unknown)}")
    found = {role: _method(sde, names.get(role), usual) for role, usual in ROLES.items()}
    joint = found["drift_and_diffusion"]
    drift, diffusion = found["drift"], found["diffusion"]
    if joint is not None:
        drift = drift or (lambda t, y: joint(t, y)[0])
        diffusion = diffusion or (lambda t, y: joint(t, y)[1])
    for role, method, usual in (("drift", drift, "f"), ("diffusion", diffusion, "g")):
        if method is None:
            only = " (a diffusion-vector product `g_prod` alone is enough for sdeint, not here)" * (
                role == "diffusion" and hasattr(sde, "g_prod"))
            raise ValueError(f"{type(sde).__name__} has no {role}: define {usual}(t, y) or "
                             f"{role}(t, y){only}")
    return SDE(drift, diffusion, sde.noise_type, sde.sde_type, joint, found["prior_drift"])


def only_products(sde, names: Mapping[str, str] | None = None) -> bool:
    """Whether the object can multiply by its diffusion (torchsde's ``g_prod``) but does not show it."""
    names = names or {}
    shown = any(_method(sde, names.get(role), ROLES[role]) for role in ("diffusion", "drift_and_diffusion"))
    return not shown and any(callable(getattr(sde, name, None)) for name in ("g_prod", "f_and_g_prod"))


def _method(sde, renamed: str | None, usual: tuple[str, ...]):
    if renamed is not None and not callable(getattr(sde, renamed, None)):
        raise ValueError(f"names asks for the method {renamed!r}, which {type(sde).__name__} does not have")
    for name in (renamed,) if renamed is not None else usual:
        if callable(getattr(sde, name, None)):
            return getattr(sde, name)
    return None


def noise_channels(sde: SDE, t: Tensor, y: Tensor) -> int:
    """Evaluate drift and diffusion once, check their shapes, and return m, the number of Brownian motions."""
    with torch.no_grad():
        f, g = sde.both(t, y)
    batch, size = y.shape
    if tuple(f.shape) != (batch, size):
        raise ValueError(f"the drift of a state of shape {(batch, size)} must have that shape, got "
                         f"{tuple(f.shape)}")
    if sde.noise_type == "diagonal":
        if tuple(g.shape) != (batch, size):
            raise ValueError(f"the diffusion of diagonal noise must have the state's shape {(batch, size)}, "
                             f"got {tuple(g.shape)}; matrices (B, D, m) are noise_type='general', 'scalar' "
                             "or 'additive'")
        return size
    if g.dim() != 3 or tuple(g.shape[:2]) != (batch, size):
        raise ValueError(f"the diffusion of {sde.noise_type} noise must have shape ({batch}, {size}, m), got "
                         f"{tuple(g.shape)}; one number per coordinate, (B, D), is noise_type='diagonal'")
    if sde.noise_type == "scalar" and g.shape[2] != 1:
        raise ValueError(f"scalar noise is one Brownian motion: the diffusion must have shape ({batch}, "
                         f"{size}, 1), got {tuple(g.shape)}; several are noise_type='general'")
    return g.shape[2]
