"""``odeint`` and ``odeint_event``: torchdiffeq's calls, its arguments and options, tuples of states.

The whole state, of any shape, is one row here: one clock, and func gets the time as a 0-d tensor.
"""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nde_lab.autodiff.eager import RECORDER
from nde_lab.solvers.controller import PID
from nde_lab.solvers.events import Event
from nde_lab.solvers.fixed_steps import fixed_steps
from nde_lab.solvers.flat_state import FlatState
from nde_lab.solvers.implicit import ESDIRKS
from nde_lab.solvers.methods import Explicit, find
from nde_lab.solvers.ode import attach_times, fixed_times, read_times, run
from nde_lab.solvers.ode_adjoint import parameters
from nde_lab.solvers.ode_march import check_slope
from nde_lab.solvers.ode_status import status_of
from nde_lab.solvers.solution import SolverError
from nde_lab.solvers.tableaus import BOSH3, EULER, HEUN, MIDPOINT, TSIT5
from nde_lab.solvers.torchdiffeq_tables import FEHLBERG2, HEUN3, RULE_38, THEIR_DOPRI5

_ADAPTIVE = {"dopri5": THEIR_DOPRI5, "bosh3": BOSH3, "tsit5": TSIT5, "adaptive_heun": HEUN,
             "fehlberg2": FEHLBERG2}
_FIXED = {"euler": EULER, "midpoint": MIDPOINT, "heun": HEUN, "heun2": HEUN, "heun3": HEUN3, "rk4": RULE_38}
_IMPLICIT = tuple(ESDIRKS)
_REFUSED = ("dopri8", "explicit_adams", "implicit_adams", "fixed_adams", "scipy_solver")
_OPTIONS = {"adaptive": ("norm", "first_step", "max_step", "safety", "ifactor", "dfactor", "max_num_steps",
                         "dtype"),
            "fixed": ("step_size", "grid_constructor", "interp", "perturb", "norm")}
_MANY = 1_000_000


def odeint(func, y0, t, *, rtol=1e-7, atol=1e-9, method=None, options=None, event_fn=None):
    """torchdiffeq's ``odeint``: the states at t, (T, *shape), a tuple of them for a tuple y0.

    func(t, y) -> dy/dt, shaped as y; t is 0-d. y0: a tensor of any shape, real or complex, or a tuple of
    tensors. t: (T,), increasing or decreasing. rtol, atol: numbers, tensors that broadcast to y0, or tuples as
    y0. method: "dopri5" (default), "tsit5", "bosh3", "adaptive_heun", "fehlberg2", implicit "kvaerno3",
    "esdirk4"; fixed steps "euler", "midpoint", "heun2", "heun3", "rk4" (as there, the 3/8 rule). options:
    norm, first_step, max_step, safety, ifactor, dfactor, max_num_steps, dtype; for fixed steps step_size,
    grid_constructor, interp ("linear"; "cubic" is the method's own dense output). event_fn(t, y): stop where
    it, or one of its entries, changes sign: returns (event time, states (2, *shape)).

    Gradients flow to y0, t and whatever func closes over. Raises SolverError, with the status sentence, where
    the solve fails; ValueError for input that does not fit, for other options and methods, by name.
    """
    return Call(func, y0, t, rtol, atol, method, options, event_fn).solve("through", None, {})


def odeint_adjoint(func, y0, t, *, rtol=1e-7, atol=1e-9, method=None, options=None, event_fn=None,
                   adjoint_rtol=None, adjoint_atol=None, adjoint_method=None, adjoint_options=None,
                   adjoint_params=None):
    """torchdiffeq's ``odeint_adjoint``: ``odeint`` whose gradient comes from the continuous adjoint.

    adjoint_rtol, adjoint_atol, adjoint_method: of the solve back in time; those of the forward solve where they
    are None. adjoint_options: first_step, max_step, safety, ifactor, dfactor, max_num_steps, step_size, and
    norm, of which only "seminorm" is done (the parameters never enter the error norm here). adjoint_params: the
    tensors that want a gradient; None takes the parameters of func, which then must be an nn.Module.
    """
    call = Call(func, y0, t, rtol, atol, method, options, event_fn)
    back = {}
    if adjoint_rtol is not None:
        back["rtol"] = call.shape.tolerance("adjoint_rtol", adjoint_rtol)
    if adjoint_atol is not None:
        back["atol"] = call.shape.tolerance("adjoint_atol", adjoint_atol)
    if adjoint_method is not None and adjoint_method != method and options and adjoint_options is None:
        raise ValueError("options speak of the forward method only: with another adjoint_method, give "
                         "adjoint_options too")
    given = dict({k: v for k, v in (options or {}).items() if k not in ("norm", "first_step")}
                 if adjoint_options is None else adjoint_options)
    norm = given.pop("norm", None)
    if norm not in (None, "seminorm"):
        raise ValueError("adjoint_options: a norm of your own is not done here, only 'seminorm'. Call "
                         "torchdiffeq.odeint_adjoint for it")
    name = adjoint_method or method or "dopri5"
    back["method"], fixed = call.find(name)
    call.check_options(given, back["method"], fixed)
    if given.get("grid_constructor") is not None:
        raise ValueError("adjoint_options: grid_constructor is not done here; give step_size")
    back["dt"] = given.get("step_size")
    if not fixed:
        back |= call.steering(given)
    params = parameters(func, adjoint_params, "adjoint")
    return call.solve("adjoint", params, back)


def odeint_event(func, y0, t0, *, event_fn, reverse_time=False, odeint_interface=odeint, **kwargs):
    """torchdiffeq's ``odeint_event``: (event time, states at t0 and there), both differentiable.

    t0: 0-d tensor. event_fn(t, y): see ``odeint``. reverse_time: search before t0. odeint_interface: ``odeint``
    or ``odeint_adjoint``; kwargs go to it.
    """
    if not isinstance(t0, Tensor) or t0.numel() != 1:
        raise ValueError(f"t0 must be a tensor of one time, got {t0!r}")
    t0 = t0.reshape(())
    t = torch.stack([t0, t0.detach() + (-1.0 if reverse_time else 1.0)])
    return odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)


class Call:
    """One call of ``odeint``, read and checked."""

    def __init__(self, func: Callable, y0, t, rtol, atol, method, options, event_fn):
        if getattr(RECORDER, "loop", None) is not None:
            raise ValueError("odeint looks at values, so it cannot stand in a traced function; there call "
                             "integrate_ode(f, y0, grid) or integrate_adaptive(f, y0, t0, t1, turns=...)")
        if not callable(func):
            raise ValueError(f"func must be callable, func(t, y), got {type(func).__name__}")
        for name in ("callback_step", "callback_accept_step", "callback_reject_step"):
            if hasattr(func, name):
                raise ValueError(f"{name} of func is not called here; use torchdiffeq for callbacks")
        self.func, self.shape = func, FlatState.of(y0)
        self.row = self.shape.flat(y0)
        if not isinstance(t, Tensor) or not t.is_floating_point() or t.dim() != 1:
            raise ValueError("t must be a 1-d floating point tensor of times, got "
                             + (f"{t.dtype} of shape {tuple(t.shape)}" if isinstance(t, Tensor) else repr(t)))
        self.t = t
        self.times = read_times(t, 1) if len(t) > 1 else t.detach().cpu().numpy().astype(np.float64)[None]
        self.rtol, self.atol = self.shape.tolerance("rtol", rtol), self.shape.tolerance("atol", atol)
        self.method, self.fixed = self.find("dopri5" if method is None else method)
        self.options = self.check_options(dict(options or {}), self.method, self.fixed)
        self.event = None if event_fn is None else self._event(event_fn)

    def field(self, t, row: Tensor) -> Tensor:
        return self.shape.flat(self.func(t, self.shape.back(row)))

    @staticmethod
    def find(name):
        """The method of torchdiffeq's name, and whether it takes fixed steps."""
        if name in _FIXED:
            return Explicit(_FIXED[name]), True
        if name in _ADAPTIVE:
            return Explicit(_ADAPTIVE[name]), False
        if name in _IMPLICIT:
            return find(name), False
        hint = "; it is in torchdiffeq only" if name in _REFUSED else ""
        raise ValueError(f"there is no method {name!r}{hint}; there are "
                         f"{', '.join([*_ADAPTIVE, *_IMPLICIT, *_FIXED])}")

    @staticmethod
    def check_options(options: dict, method, fixed: bool) -> dict:
        known = _OPTIONS["fixed" if fixed else "adaptive"]
        for name in options:
            if name not in known:
                raise ValueError(f"option {name!r} is not done here with method {method.name!r}; there are "
                                 f"{', '.join(known)}. Call torchdiffeq.odeint for it")
        if options.get("perturb"):
            raise ValueError("option 'perturb' is not done here: f is evaluated at the times themselves")
        if options.get("interp", "linear") not in ("linear", "cubic"):
            raise ValueError(f"interp must be 'linear' or 'cubic', got {options['interp']!r}")
        if options.get("step_size") is not None and options.get("grid_constructor") is not None:
            raise ValueError("give step_size or grid_constructor, not both")
        return options

    @staticmethod
    def steering(o: dict) -> dict:
        """The settings of the step controller."""
        first = o.get("first_step")
        return dict(control=PID(safety=float(o.get("safety", 0.9)), max_factor=float(o.get("ifactor", 10.0)),
                                min_factor=float(o.get("dfactor", 0.2))),
                    max_steps=int(o.get("max_num_steps", _MANY)), longest=float(o.get("max_step", math.inf)),
                    first=None if first is None else float(first))

    def _event(self, event_fn) -> Event:
        if len(self.t) != 2:
            raise ValueError("with event_fn, t holds two times: the start, and one that says which way to go; "
                             f"got {len(self.t)}")
        if self.fixed and self.options.get("step_size") is None:
            raise ValueError(f"an event with fixed steps ({self.method.name}) needs options="
                             "{'step_size': ...}")
        with torch.no_grad():
            side = event_fn(self.t[0].detach(), self.shape.back(self.row.detach())).sign()

        def value(t, row: Tensor) -> Tensor:
            return (event_fn(t, self.shape.back(row)) * side).min().reshape(1)
        return Event(value)

    def solve(self, gradient: str, params, adjoint: dict):
        """The result of the call."""
        lead = len(self.t)
        if lead == 1:
            return self.shape.back(self.row, 1)
        if self.fixed and gradient == "through" and self.event is None:
            ys = self._fixed_steps()
            if ys is not None and math.isfinite(ys[-1].detach().sum()):
                return self.shape.back(ys, lead)                     # else march, to say which step failed
        m, ys = self._march(gradient, params, adjoint)
        status = status_of(m, self.method, self.times, self.rtol, self.fixed)
        if status.kind != "finished":
            raise SolverError(status)
        if self.event is None:
            return self.shape.back(ys, lead)
        like = dict(device=self.row.device)
        t, y = self.event.link(self.field, torch.tensor(m.t[0], dtype=self.t.dtype, **like), m.y,
                               torch.tensor([True], **like))
        return t, self.shape.back(torch.stack([ys[0], y]), 2)

    def _fixed_steps(self) -> Tensor | None:
        """The states at t where nothing but stepping has to be done; None where there is more to do."""
        given = all(self.options.get(k) is None for k in ("step_size", "grid_constructor"))
        if self.t.requires_grad:
            return self._on_given_times() if given else None
        table, times = self.method.table, self.times[0]
        plan = times if given else self._plan(self.times)[:, 0]
        dense = table.dense if self.options.get("interp") == "cubic" else tuple((w,) for w in table.b)
        if self.shape.tuple or self.shape.complex:
            return fixed_steps(self.field, self.row, plan, times, table, dense)
        y0 = self.row.reshape(self.shape.shapes[0])
        func, like = self.func, y0.shape

        def field(t, y: Tensor) -> Tensor:
            k = func(t, y)
            if k.shape == like:
                return k
            check_slope(self.shape.flat(k), self.row)
            return k.reshape(like)
        return fixed_steps(field, y0, plan, times, table, dense)

    def _on_given_times(self) -> Tensor:
        """Fixed steps from one time of t to the next, differentiable in t step by step."""
        y, ys, t = self.row, [self.row], self.t.to(self.row)
        for k in range(1, len(t)):
            y = self.method.step(self.field, [t[k - 1] + c * (t[k] - t[k - 1]) if c else t[k - 1]
                                              for c in self.method.c], y, t[k] - t[k - 1], None).y
            ys.append(y)
        return torch.stack(ys)

    def _march(self, gradient: str, params, adjoint: dict):
        o, times, row = self.options, self.times, self.row
        method = self.method
        plan = None
        if self.event is not None:
            sign = 1.0 if times[0, 1] >= times[0, 0] else -1.0
            times = np.array([[times[0, 0], sign * math.inf]])
        if self.fixed:
            plan = self._plan(times)
            if o.get("interp", "linear") == "linear":
                method = Explicit(method.table)
                method.dense = tuple((w,) for w in method.table.b)
        norm = None
        if "norm" in o or self.shape.tuple:
            given = o.get("norm", _largest)

            def norm(r: Tensor) -> Tensor:
                return torch.as_tensor(given(self.shape.back(r.squeeze(0))))
        settings = dict(rtol=self.rtol, atol=self.atol, shared=True, plan=plan, event=self.event, norm=norm,
                        **self.steering(o))
        start = None
        if self.t.requires_grad:
            start = attach_times(self.field, self.t[:1], row.unsqueeze(0), -1.0)[0]
        m = run(self.field, row if start is None else start, times, method, gradient, params, settings, adjoint)
        ys = m.ys
        if self.t.requires_grad and self.event is None:
            ys = attach_times(self.field, self.t, ys)
        return m, ys

    def _plan(self, times: np.ndarray) -> np.ndarray:
        o = self.options
        if o.get("grid_constructor") is not None:
            grid = o["grid_constructor"](self.func, self.shape.back(self.row.detach()), self.t.detach())
            grid = grid.detach().cpu().numpy().astype(np.float64)
            if grid[0] != times[0, 0] or grid[-1] != times[0, -1]:
                raise ValueError(f"grid_constructor must return times from {times[0, 0]:g} to "
                                 f"{times[0, -1]:g}, got {grid[0]:g} to {grid[-1]:g}")
            return grid[:, None]
        step = o.get("step_size")
        if self.event is not None:
            n = min(_MANY, int(o.get("max_num_steps", 20_000)))
            sign = 1.0 if times[0, 1] > times[0, 0] else -1.0
            return times[:, 0] + sign * float(step) * np.arange(n + 1)[:, None]
        return fixed_times(times, None if step is None else float(step))


def _largest(parts) -> Tensor:
    """The largest root mean square of a tuple's parts, torchdiffeq's norm of a tuple."""
    return torch.stack([p.abs().pow(2).mean().sqrt() for p in parts]).max()
