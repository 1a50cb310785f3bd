"""The three problems of ``side_by_side.py`` for every library, with the same networks."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from nde_lab.autodiff import value_and_grad
from nde_lab.solvers import SDE, Brownian, Grid, integrate, integrate_ode, odeint, sdeint, solve_ode

TOLERANCE = 1e-5


@dataclass
class Problem:
    """variants: name -> (seed -> anything); missing: peers that are not installed; errors: distance of each
    variant's end from a solve in float64 at a tolerance of 1e-10."""
    variants: dict[str, Callable[[int], object]]
    missing: list[str]
    errors: dict[str, float] = field(default_factory=dict)


def weights(state: int, width: int, nets: int, *, scale: float) -> list[dict[str, np.ndarray]]:
    """``nets`` two-layer networks as numpy arrays, from one seed."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return (rng.uniform(-1, 1, shape) * scale / np.sqrt(shape[0])).astype("float32")
    return [{"w": draw(state, width), "b": draw(width) / 4, "v": draw(width, state), "c": draw(state) / 4}
            for _ in range(nets)]


def net(p: dict[str, Tensor], y: Tensor) -> Tensor:
    return torch.addmm(p["c"], torch.tanh(torch.addmm(p["b"], y, p["w"])), p["v"])


class Module(nn.Module):
    """The same networks as torchsde and torchdiffeq want them."""
    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, nets):
        super().__init__()
        self.nets = nn.ModuleList(nn.ParameterDict({k: torch.tensor(v) for k, v in p.items()}) for p in nets)

    def f(self, t, y):
        return net(self.nets[0], y)

    def g(self, t, y):
        return torch.sigmoid(net(self.nets[1], y))

    def forward(self, t, y):
        return net(self.nets[0], y)


def problem(kind: str, batch: int, state: int, width: int, steps: int, *, gradient: bool) -> Problem:
    """One case, ready to run."""
    arrays = weights(state, width, 2 if kind == "sde" else 1, scale=1.5)
    start = np.random.default_rng(1).standard_normal((batch, state)).astype("float32")
    made = {"sde": _sde, "rk4": _rk4, "dopri5": _dopri5}[kind](arrays, start, steps, gradient)
    return made


def _torch(solve: Callable[[int], Tensor], module: nn.Module, gradient: bool) -> Callable[[int], object]:
    """seed -> the end, or the gradient of its mean square."""
    params = list(module.parameters())[: 4 * len(module.nets)]

    def forward(seed):
        with torch.no_grad():
            return solve(seed)

    def backward(seed):
        return torch.autograd.grad(solve(seed).square().mean(), params)
    return backward if gradient else forward


def _native(fn, args):
    """The traced program outside torch, or None where it cannot be had."""
    try:
        from nde_lab import native
    except ImportError:
        return None
    return native.compile(fn, args)


def _jax():
    try:
        import jax
    except ImportError:
        return None
    return jax


def _jax_net(jax):
    return lambda p, y: jax.numpy.tanh(y @ p["w"] + p["b"]) @ p["v"] + p["c"]


def _jitted(jax, solve, gradient: bool, params):
    """params, seed -> the end or the gradient, jitted; waits for the answer as a reader would."""
    def loss(p, seed):
        return (solve(p, seed) ** 2).mean()
    fn = jax.jit(jax.grad(loss) if gradient else solve)
    return lambda seed: jax.block_until_ready(fn(params, seed))


def _sde(arrays, start, steps, gradient) -> Problem:
    import torchsde
    module, y0 = Module(arrays), torch.tensor(start)
    batch, state = y0.shape
    dt, ts, grid = 1.0 / steps, torch.tensor([0.0, 1.0]), Grid(0.0, 1.0, steps)

    def ours(seed):
        dW = Brownian.draw(grid, (batch, state), seed=seed).increments
        return integrate(module, y0, grid, dW, method="euler", save="last")

    def best(seed):
        bm = torchsde.BrownianInterval(0.0, 1.0, size=(batch, state), entropy=seed, dt=dt)
        return torchsde.sdeint(module, y0, ts, bm=bm, method="euler", dt=dt)[-1]
    solvers = {
        "nde_lab": ours,
        "nde_lab sdeint": lambda seed: sdeint(module, y0, ts, method="euler", dt=dt, seed=seed)[-1],
        "torchsde, best": best,
        "torchsde, as it comes": lambda seed: torchsde.sdeint(module, y0, ts, method="euler", dt=dt)[-1],
    }
    variants = {name: _torch(solve, module, gradient) for name, solve in solvers.items()}
    flat = {f"{i}{k}": torch.tensor(v) for i, p in enumerate(arrays) for k, v in p.items()}

    def end(params, y, dW):
        f, g = ({k: params[f"{i}{k}"] for k in "wbvc"} for i in range(2))
        sde = SDE(lambda t, y: net(f, y), lambda t, y: torch.sigmoid(net(g, y)))
        return integrate(sde, y, grid, dW, method="euler", save="last")

    def program(params, y, dW):
        if not gradient:
            return end(params, y, dW)
        return value_and_grad(lambda p: end(p, y, dW).square().mean(), params)
    compiled = _native(program, (flat, y0, torch.zeros(steps, batch, state)))
    if compiled:
        variants["nde_lab native"] = lambda seed: compiled(
            flat, y0, Brownian.draw(grid, (batch, state), seed=seed).increments)
    missing = []
    if jax := _jax():
        jnp, apply = jax.numpy, _jax_net(jax)
        params, begin = [{k: jnp.asarray(v) for k, v in p.items()} for p in arrays], jnp.asarray(start)
        root = np.float32(np.sqrt(dt))

        def scan(p, seed):
            def body(y, dW):
                return y + apply(p[0], y) * dt + jax.nn.sigmoid(apply(p[1], y)) * dW, None
            noise = jax.random.normal(jax.random.PRNGKey(seed), (steps, batch, state)) * root
            return jax.lax.scan(body, begin, noise)[0]
        variants["jax scan, by hand"] = _jitted(jax, scan, gradient, params)
    else:
        missing.append("jax")
    try:
        import diffrax
        import lineax
    except ImportError:
        missing.append("diffrax")
    else:
        shape = jax.ShapeDtypeStruct((state,), jnp.float32)

        def unsafe(key):
            return diffrax.UnsafeBrownianPath(shape, key)

        def tree(key):
            return diffrax.VirtualBrownianTree(0.0, 1.0, dt / 2, shape, key)

        def solve(p, seed, path, adjoint):
            def diffusion(t, y, args):
                return lineax.DiagonalLinearOperator(jax.nn.sigmoid(apply(p[1], y)))

            def one(y, key):
                terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, args: apply(p[0], y)),
                                          diffrax.ControlTerm(diffusion, path(key)))
                return diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, 1.0, dt, y, max_steps=steps + 1,
                                           adjoint=adjoint()).ys[0]
            return jax.vmap(one)(begin, jax.random.split(jax.random.PRNGKey(seed), batch))
        if not gradient:                                     # it has no gradient
            variants["diffrax, UnsafeBrownianPath"] = _jitted(
                jax, lambda p, s: solve(p, s, unsafe, diffrax.DirectAdjoint), gradient, params)
        variants["diffrax, VirtualBrownianTree"] = _jitted(
            jax, lambda p, s: solve(p, s, tree, diffrax.RecursiveCheckpointAdjoint), gradient, params)
    return Problem(variants, missing)


def _rk4(arrays, start, steps, gradient) -> Problem:
    import torchdiffeq
    module, y0, grid = Module(arrays), torch.tensor(start), Grid(0.0, 1.0, steps)
    ts, same = torch.tensor([0.0, 1.0]), {"method": "rk4", "options": {"step_size": 1.0 / steps}}
    solvers = {
        "nde_lab": lambda seed: integrate_ode(module, y0, grid, method="rk4", save="last"),
        # torchdiffeq's "rk4" is the 3/8 rule, and so is our odeint's: as many evaluations, the same order.
        "nde_lab odeint": lambda seed: odeint(module, y0, ts, **same)[-1],
        "torchdiffeq": lambda seed: torchdiffeq.odeint(module, y0, ts, **same)[-1],
    }
    variants = {name: _torch(solve, module, gradient) for name, solve in solvers.items()}

    def end(params, y):
        return integrate_ode(lambda t, y: net(params, y), y, grid, method="rk4", save="last")

    def program(params, y):
        return value_and_grad(lambda p: end(p, y).square().mean(), params) if gradient else end(params, y)
    flat = {k: torch.tensor(v) for k, v in arrays[0].items()}
    if compiled := _native(program, (flat, y0)):
        variants["nde_lab native"] = lambda seed: compiled(flat, y0)
    missing = []
    if jax := _jax():
        jnp, apply, h = jax.numpy, _jax_net(jax), 1.0 / steps
        params = {k: jnp.asarray(v) for k, v in arrays[0].items()}

        def scan(p, seed):
            def body(y, _):
                k1 = apply(p, y)
                k2 = apply(p, y + h / 2 * k1)
                k3 = apply(p, y + h / 2 * k2)
                k4 = apply(p, y + h * k3)
                return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None
            return jax.lax.scan(body, jnp.asarray(start), None, length=steps)[0]
        variants["jax scan, by hand"] = _jitted(jax, scan, gradient, params)
    else:
        missing.append("jax")
    return Problem(variants, missing)


def _dopri5(arrays, start, steps, gradient) -> Problem:
    import torchdiffeq
    module, y0, ts = Module(arrays), torch.tensor(start), torch.tensor([0.0, 5.0])
    same = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE}
    solvers = {
        "nde_lab": lambda seed=0: odeint(module, y0, ts, **same)[-1],
        "nde_lab solve_ode, a clock per row": lambda seed=0: solve_ode(module, y0, ts, **same).ys[-1],
        "torchdiffeq": lambda seed=0: torchdiffeq.odeint(module, y0, ts, **same)[-1],
    }
    missing = []
    try:
        import torchode
    except ImportError:
        missing.append("torchode")
    else:
        term = torchode.ODETerm(module)
        control = torchode.IntegralController(term=term, atol=TOLERANCE, rtol=TOLERANCE)
        adjoint, when = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), control), ts.repeat(len(y0), 1)

        def rows(seed=0):
            return adjoint.solve(torchode.InitialValueProblem(y0=y0, t_eval=when)).ys[:, -1]
        solvers["torchode, a clock per row"] = rows
    variants, ends = {name: _torch(solve, module, gradient) for name, solve in solvers.items()}, dict(solvers)
    try:
        import diffrax
        jax = _jax()
    except ImportError:
        missing.append("diffrax")
    else:
        jnp, apply = jax.numpy, _jax_net(jax)
        params = {k: jnp.asarray(v) for k, v in arrays[0].items()}
        controller = diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE)

        def whole(p, seed):          # one clock for the batch, as torchdiffeq and our odeint
            term = diffrax.ODETerm(lambda t, y, args: apply(p, y))
            return diffrax.diffeqsolve(term, diffrax.Dopri5(), 0.0, 5.0, None, jnp.asarray(start),
                                       stepsize_controller=controller, max_steps=256).ys[0]
        variants["diffrax"] = _jitted(jax, whole, gradient, params)
        ends["diffrax"] = lambda: torch.tensor(np.asarray(jax.jit(whole)(params, 0)))
    truth, tight = Module(arrays).double(), {"method": "dopri5", "rtol": 1e-10, "atol": 1e-10}
    with torch.no_grad():
        exact = torchdiffeq.odeint(truth, y0.double(), ts.double(), **tight)[-1]
        errors = {name: float((end().double() - exact).abs().max()) for name, end in ends.items()}
    return Problem(variants, missing, errors)
