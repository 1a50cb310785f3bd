"""Schemes by name, and the refusal of those that converge to another process or cannot take the noise."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nde_lab.solvers.euler_maruyama import EulerMaruyama
from nde_lab.solvers.heun import Heun
from nde_lab.solvers.langevin import BAOAB
from nde_lab.solvers.midpoint import Midpoint
from nde_lab.solvers.milstein import MilsteinIto, MilsteinStratonovich, mixes_coordinates
from nde_lab.solvers.reversible_heun import ReversibleHeun
from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import SDE
from nde_lab.solvers.srk import SRK
from nde_lab.solvers.tamed_euler import TamedEuler

SCHEMES: dict[str, tuple[Scheme, ...]] = {}
for _scheme in (EulerMaruyama(), MilsteinIto(), MilsteinStratonovich(), SRK(), TamedEuler(), Heun(), Midpoint(),
                ReversibleHeun(), BAOAB()):
    SCHEMES[_scheme.name] = (*SCHEMES.get(_scheme.name, ()), _scheme)

DEFAULTS = {"ito": "euler", "stratonovich": "heun"}
# What torchsde does and these files do not: it needs Levy areas, or is not worth a file of its own.
ELSEWHERE = ("log_ode", "euler_heun")


def default_method(sde: SDE, t: Tensor, y: Tensor, bm=None) -> str:
    """torchsde's choice: "srk" (Ito) where it has its order, "euler" for other Ito SDEs; "midpoint"
    (Stratonovich). "srk" is left alone for general noise, for diagonal noise that mixes coordinates (where
    it would be no better than "euler" at several times the cost), and where bm does not know the areas it
    needs."""
    if sde.sde_type == "stratonovich":
        return "midpoint"
    blind = bm is not None and getattr(bm, "levy_area_approximation", "none") == "none"
    if blind or sde.noise_type == "general":
        return "euler"
    return "euler" if sde.noise_type == "diagonal" and mixes_coordinates(sde, t, y) else "srk"


def fitting(sde: SDE) -> list[str]:
    """Names of the schemes that converge to this SDE's solution."""
    return [name for name, variants in SCHEMES.items() if any(scheme.takes(sde) for scheme in variants)]


def choose(sde: SDE, method: str | None = None, options: Mapping | None = None) -> Scheme:
    """The scheme called ``method`` that fits the SDE; "euler" (Ito) or "heun" (Stratonovich) without a name.

    options: ``{"grad_free": True}`` asks "milstein" for differences in place of derivatives.

    Raises ValueError for an unknown name, a scheme of the other calculus, or a noise type that it cannot
    take, and names the schemes that would fit.
    """
    method = DEFAULTS[sde.sde_type] if method is None else method
    others = " or ".join(f"method='{name}'" for name in fitting(sde))
    kind = f"{sde.sde_type.capitalize()} SDE with {sde.noise_type} noise"
    if method in ELSEWHERE:
        raise ValueError(f"method {method!r} is torchsde's, to which sdeint and solve_sde hand such a problem; "
                         f"here use {others}")
    if method == "adjoint_reversible_heun":
        raise ValueError("'adjoint_reversible_heun' is the backward pass of 'reversible_heun': name it as "
                         "adjoint_method of sdeint_adjoint")
    if method not in SCHEMES:
        raise ValueError(f"unknown method {method!r}; for {_article(kind)} use {others}")
    variants = SCHEMES[method]
    for scheme in variants:
        if scheme.takes(sde):
            return type(scheme)(grad_free=True) if (options or {}).get("grad_free") and method == "milstein" \
                else scheme
    if method == "baoab":
        raise ValueError("method 'baoab' splits position from momentum, so it takes a "
                         f"Langevin(force, friction, temperature) only; use {others}")
    calculi = {scheme.calculus for scheme in variants}
    if sde.sde_type not in calculi:
        why = f"converges to the {' and '.join(sorted(calculi)).capitalize()} solution"
        if sde.noise_type == "additive":
            others += (f", or declare sde_type='{calculi.pop()}': for additive noise both calculi mean the "
                       "same process")
    else:
        takes = sorted({noise for scheme in variants for noise in scheme.noise_types})
        why = f"takes {', '.join(takes)} noise only"
    raise ValueError(f"method {method!r} {why}, and this is {_article(kind)}; use {others}")


def _article(kind: str) -> str:
    return ("an " if kind.startswith("I") else "a ") + kind
