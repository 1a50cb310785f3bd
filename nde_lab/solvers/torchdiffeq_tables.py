"""Methods that only ``odeint`` knows, by torchdiffeq's names for them."""
from __future__ import annotations

from dataclasses import replace

from nde_lab.solvers.tableaus import DOPRI5, Tableau

# Kutta's 3/8 rule is what torchdiffeq calls rk4; Heun's third-order method; Fehlberg's 2(1) pair.
RULE_38 = Tableau("rk4", 4, c=(0.0, 1 / 3, 2 / 3, 1.0), a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
                  b=(1 / 8, 3 / 8, 3 / 8, 1 / 8), b_error=None, fsal=False, stable=2.785293563405282,
                  dense=((1.0, -15 / 8, 1.0), (0.0, 15 / 8, -3 / 2), (0.0, 3 / 8, 0.0), (0.0, -3 / 8, 1 / 2)))
HEUN3 = Tableau("heun3", 3, c=(0.0, 1 / 3, 2 / 3), a=((), (1 / 3,), (0.0, 2 / 3)), b=(1 / 4, 0.0, 3 / 4),
                b_error=None, fsal=False, stable=2.512745326618329,
                dense=((1.0, -3 / 4), (0.0, 0.0), (0.0, 3 / 4)))
FEHLBERG2 = Tableau("fehlberg2", 2, c=(0.0, 0.5, 1.0), a=((), (0.5,), (1 / 256, 255 / 256)),
                    b=(1 / 512, 255 / 256, 1 / 512), b_error=(-1 / 512, 0.0, 1 / 512), fsal=False,
                    stable=2.007843, dense=((1.0, -511 / 512), (0.0, 255 / 256), (0.0, 1 / 512)), error_order=2)

# torchdiffeq takes two thirds of the pair's error estimate (its embedded weights are Shampine's), so its steps
# are a little longer at the same tolerance.
THEIR_DOPRI5 = replace(DOPRI5, b_error=tuple(2 / 3 * e for e in DOPRI5.b_error))
