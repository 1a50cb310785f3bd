"""Solvers of ODEs and SDEs for small problems.

ODEs: every row of a batch has its own clock; explicit methods are tables (``TABLEAUS``), implicit ones for
stiff problems have names ("kvaerno3", "esdirk4").

    ys = odeint(f, y0, t)                                         torchdiffeq's call and tensor, or SolverError
    solution = solve_ode(f, y0, ts, method="dopri5")              with counts and a status sentence instead
    ys = integrate_ode(f, y0, grid, method="rk4")                 the bare loops, for traced experiments:
    a = integrate_adaptive(f, y0, t0, t1, turns=20)               fixed steps; steps of every row's choosing

SDEs: fixed steps on an integer grid, noise drawn at once, a file per scheme.

    ys = sdeint(sde, y0, ts, method="euler", dt=0.01, seed=0)     torchsde's call and tensor, or SolverError
    solution = solve_sde(sde, y0, ts, dt=0.01, seed=0)            with a status sentence instead of an error
    ys = sdeint_adjoint(sde, y0, ts, method="reversible_heun")    exact gradients, memory flat in the steps
    ys = integrate(sde, y0, grid, increments, method="euler")     the bare loop, for traced experiments

An SDE is any object with ``f(t, y)``, ``g(t, y)``, ``noise_type`` and ``sde_type``, as in torchsde;
``SDE(drift, diffusion)`` makes one of two functions. ``SCHEMES`` holds the schemes by name.
"""
from nde_lab.solvers.brownian_chunks import ChunkedBrownian
from nde_lab.solvers.controller import PID
from nde_lab.solvers.dense import Dense
from nde_lab.solvers.dropin import sdeint, sdeint_adjoint
from nde_lab.solvers.euler_maruyama import EulerMaruyama
from nde_lab.solvers.events import Event
from nde_lab.solvers.grid import Grid
from nde_lab.solvers.heun import Heun
from nde_lab.solvers.integrate import finite_rows, integrate
from nde_lab.solvers.integrate_ode import Adaptive, Turns, integrate_adaptive, integrate_ode
from nde_lab.solvers.langevin import BAOAB, Langevin
from nde_lab.solvers.midpoint import Midpoint
from nde_lab.solvers.milstein import MilsteinIto, MilsteinStratonovich
from nde_lab.solvers.noise import Brownian
from nde_lab.solvers.ode import solve_ode
from nde_lab.solvers.ode_adjoint import ode_vjp
from nde_lab.solvers.ode_status import OdeSolution
from nde_lab.solvers.odeint import odeint, odeint_adjoint, odeint_event
from nde_lab.solvers.path_kl import path_kl, path_kl_rate, split_path_kl, with_path_kl
from nde_lab.solvers.registry import SCHEMES, choose, fitting
from nde_lab.solvers.reversible_heun import ReversibleHeun
from nde_lab.solvers.runge_kutta import RKStep, error_ratio, rk_step, stiffness
from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import NOISE_TYPES, SDE, SDE_TYPES, as_sde
from nde_lab.solvers.solution import Solution, SolverError, Status
from nde_lab.solvers.solve import solve_sde
from nde_lab.solvers.srk import SRK
from nde_lab.solvers.tableaus import TABLEAUS, Tableau
from nde_lab.solvers.tamed_euler import TamedEuler

__all__ = ["BAOAB", "NOISE_TYPES", "PID", "SCHEMES", "SDE", "SDE_TYPES", "SRK", "TABLEAUS", "Adaptive",
           "Brownian", "ChunkedBrownian", "Dense", "EulerMaruyama", "Event", "Grid", "Heun", "Langevin",
           "Midpoint", "MilsteinIto", "MilsteinStratonovich", "OdeSolution", "RKStep", "ReversibleHeun",
           "Scheme", "Solution", "SolverError", "Status", "Tableau", "TamedEuler", "Turns", "as_sde", "choose",
           "error_ratio", "finite_rows", "fitting", "integrate", "integrate_adaptive", "integrate_ode",
           "ode_vjp", "odeint", "odeint_adjoint", "odeint_event", "path_kl", "path_kl_rate", "rk_step",
           "sdeint", "sdeint_adjoint", "solve_ode", "solve_sde", "split_path_kl", "stiffness", "with_path_kl"]
