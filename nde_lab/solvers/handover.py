"""Problems that torchsde solves, through the same call: adaptive steps, schemes that need Levy areas, SDEs
that only multiply by their diffusion, and adjoint equations solved backwards."""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.solvers.grid import save_times
from nde_lab.solvers.noise import OnGrid
from nde_lab.solvers.solution import Solution, Status
from nde_lab.solvers.step_noise import check_bm, draw_seed

_AREAS = {"srk": "space-time", "log_ode": "foster"}


def theirs(sde, y0: Tensor, ts, bm, channels: int | None, *, seed: int | None, method: str | None,
           adaptive: bool, dt: float, call: str = "sdeint", **others) -> Solution:
    """Solve by ``torchsde.sdeint`` (or ``call``) and report as ``solve_sde`` does.

    channels: m, or None where only a Brownian motion can tell. others: torchsde's further arguments.
    """
    import torchsde
    if bm is not None and seed is not None:
        raise ValueError("give the noise once: either bm or seed, not both")
    times, name = save_times(ts), method or "the default method"
    if bm is None:
        if channels is None:
            raise ValueError("an SDE that only has g_prod does not say how many Brownian motions it has; "
                             "give bm")
        bm = torchsde.BrownianInterval(
            times[0], times[-1], size=(len(y0), channels), dtype=y0.dtype, device=y0.device,
            entropy=draw_seed(seed), levy_area_approximation=_AREAS.get(method, "none"),
            **({} if adaptive else {"dt": dt}))
    check_bm(bm, (len(y0), tuple(bm.shape)[-1] if channels is None else channels), y0)
    if adaptive and isinstance(bm, OnGrid):
        raise ValueError("adaptive steps ask for the path between the times of its grid; give a seed, or a "
                         "torchsde.BrownianInterval as bm, instead of a path drawn on a grid")
    ts = torch.tensor(times, dtype=y0.dtype, device=y0.device)
    try:
        ys, extra = getattr(torchsde, call)(sde, y0, ts, bm=bm, method=method, dt=dt, adaptive=adaptive,
                                            extra=True, **others)
    except AssertionError as trouble:                   # a NaN in the error estimate of an adaptive step
        status = Status("diverged", "torchsde's adaptive steps met a state that is not finite, at a time "
                        f"that it does not tell ({str(trouble).split('.')[0]}); solve with fixed steps to "
                        "see row and time.",
                        0)
        return Solution(ts[:1], y0.unsqueeze(0), torch.zeros(len(y0), dtype=torch.bool), status,
                        {"method": method, "adaptive": adaptive, "by": "torchsde"})
    good = torch.isfinite(ys.detach()).all(-1)                                           # (T, B)
    stats = {"method": method, "adaptive": adaptive, "by": "torchsde"}
    if bool(good.all()):
        status = Status("finished", f"Finished: {name} of torchsde from t = {times[0]:g} to {times[-1]:g}.", 0,
                        times[-1])
        return Solution(ts, ys, good[-1], status, stats, extra=tuple(extra))
    first = int((~good.all(1)).nonzero()[0, 0])
    row = int((~good[first]).nonzero()[0, 0])
    status = Status("diverged", f"Row {row} was not finite at t = {times[first]:.4g}, the first time asked "
                    f"for at which something was not; torchsde's {name} does not tell the step. "
                    "Take a smaller dt.", 0, times[first], row)
    return Solution(ts[:first], ys[:first], good[first], status, stats)
