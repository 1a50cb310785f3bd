"""Entropic optimal transport with weak regularisation: Sinkhorn sweeps, then Newton steps with a sparse
Hessian.

Xun Tang, Michael Shavlovsky, Holakou Rahmanian, Elisa Tardini, Kiran Koshy Thekumparampil, Tesi Xiao, Lexing
Ying, "Accelerating Sinkhorn algorithm with sparse Newton iterations", ICLR 2024, arXiv 2401.12253. The method
is in ``newton``, its steps as tensors in ``steps``, experiments in ``clouds``, ``plans`` and ``race``, problems
in ``problems``, results in ``claims`` and ``table``.
"""
from nde_lab.bridges.sinkhorn_newton_sparse.clouds import CloudPlan
from nde_lab.bridges.sinkhorn_newton_sparse.newton import sinkhorn_newton_sparse
from nde_lab.bridges.sinkhorn_newton_sparse.plans import PlanOnGrid
from nde_lab.bridges.sinkhorn_newton_sparse.race import SinkhornRace

__all__ = ["CloudPlan", "PlanOnGrid", "SinkhornRace", "sinkhorn_newton_sparse"]
