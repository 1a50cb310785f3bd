"""Explicit Runge-Kutta methods as tables of coefficients.

A method with s stages computes k_i = f(t + c_i h, y + h sum_j a_ij k_j) and y' = y + h sum_i b_i k_i. Inside
the step it is y(t + x h) = y + h sum_i p_i(x) k_i with polynomials p_i, its dense output: no evaluation more.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tableau:
    """The coefficients of one explicit method.

    order: of the solution. c (s,), a (s rows, row i holds i numbers), b (s,). b_error: b minus the embedded
    weights, None where the method has no error estimate. error_order: the power of h in that estimate (the
    controller divides by it). fsal: the last stage is f at the new state, so it is the next step's first.
    stable: length of the stability interval on the negative real axis, |h lambda| <= stable. dense: row i
    holds the coefficients of x, x^2, ... in p_i(x); its error inside a step is O(h^order) or smaller.
    """
    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    b_error: tuple[float, ...] | None
    fsal: bool
    stable: float
    dense: tuple[tuple[float, ...], ...]
    error_order: int = 0

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def adaptive(self) -> bool:
        """The method estimates its own error, so it can choose its steps."""
        return self.b_error is not None

    @property
    def new_evaluations(self) -> int:
        """Evaluations of f per step, the first step's extra one of an fsal method aside."""
        return self.stages - self.fsal


def _product(*factors: Sequence[float]) -> list[float]:
    """The product of polynomials, coefficients from the constant upward."""
    out = [1.0]
    for p in factors:
        new = [0.0] * (len(out) + len(p) - 1)
        for i, u in enumerate(out):
            for j, v in enumerate(p):
                new[i + j] += u * v
        out = new
    return out


def _without_constant(p: Sequence[float]) -> tuple[float, ...]:
    return tuple(p[1:])


def hermite(b: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """Cubic through both ends and both slopes, for a method whose last stage is f at the end.

    y + (3x^2 - 2x^3)(y' - y) + (x - 2x^2 + x^3) h k_1 + (x^3 - x^2) h k_s, with y' - y = h sum b_i k_i.
    """
    rows = [[0.0, 3 * w, -2 * w] for w in b]
    for row, slope in ((rows[0], (1.0, -2.0, 1.0)), (rows[-1], (0.0, -1.0, 1.0))):
        for j in range(3):
            row[j] += slope[j]
    return tuple(map(tuple, rows))


EULER = Tableau("euler", 1, c=(0.0,), a=((),), b=(1.0,), b_error=None, fsal=False, stable=2.0, dense=((1.0,),))

MIDPOINT = Tableau("midpoint", 2, c=(0.0, 0.5), a=((), (0.5,)), b=(0.0, 1.0), b_error=None, fsal=False,
                   stable=2.0, dense=((1.0, -1.0), (0.0, 1.0)))

# Embedded: Euler.
HEUN = Tableau("heun", 2, c=(0.0, 1.0), a=((), (1.0,)), b=(0.5, 0.5), b_error=(-0.5, 0.5), fsal=False,
               stable=2.0, dense=((1.0, -0.5), (0.0, 0.5)), error_order=2)

# Kutta's classical method; its dense output of order 3 (local error h^4) needs no further stage.
RK4 = Tableau("rk4", 4, c=(0.0, 0.5, 0.5, 1.0), a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
              b=(1 / 6, 1 / 3, 1 / 3, 1 / 6), b_error=None, fsal=False, stable=2.785293563405282,
              dense=((1.0, -1.5, 2 / 3), (0.0, 1.0, -2 / 3), (0.0, 1.0, -2 / 3), (0.0, -0.5, 2 / 3)))

# Bogacki and Shampine, Appl. Math. Letters 2 (1989).
_BOSH3 = (2 / 9, 1 / 3, 4 / 9, 0.0)
BOSH3 = Tableau("bosh3", 3, c=(0.0, 0.5, 0.75, 1.0), a=((), (0.5,), (0.0, 0.75), _BOSH3[:3]), b=_BOSH3,
                b_error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8), fsal=True,
                stable=2.512745326618329, dense=hermite(_BOSH3), error_order=3)

# Dormand and Prince, J. Comp. Appl. Math. 6 (1980).
_DOPRI5 = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0)
# The x^2 (1 - x)^2 part of the dense output: Hairer, Norsett, Wanner, "Solving ODEs I" (1993), section II.6.
_DOPRI5_DENSE = (-12715105075 / 11282082432, 0.0, 87487479700 / 32700410799, -10690763975 / 1880347072,
                 701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423)


def _dopri5_dense() -> tuple[tuple[float, ...], ...]:
    bump = _without_constant(_product((0.0, 0.0, 1.0), (1.0, -2.0, 1.0)))        # x^2 (1 - x)^2
    return tuple(tuple(u + d * v for u, v in zip((*row, 0.0), bump, strict=True))
                 for row, d in zip(hermite(_DOPRI5), _DOPRI5_DENSE, strict=True))


DOPRI5 = Tableau(
    "dopri5", 5, c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    a=((), (1 / 5,), (3 / 40, 9 / 40), (44 / 45, -56 / 15, 32 / 9),
       (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
       (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656), _DOPRI5[:6]),
    b=_DOPRI5,
    b_error=(71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    fsal=True, stable=3.306567892634947, dense=_dopri5_dense(), error_order=5)

# Tsitouras, Computers and Mathematics with Applications 62 (2011): table 1 and section 5 (dense output).
_TSIT5 = (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
          2.324710524099774, 0.0)
# p_i(x) = scale * x^2 * (quadratic), by its factors; the first starts with x.
_TSIT5_DENSE = tuple(map(_without_constant, (
    _product((-1.0530884977290216,), (0.0, 1.0), (-1.3299890189751412, 1.0),
             (0.7139816917074209, -1.4364028541716351, 1.0)),
    _product((0.1017,), (0.0, 0.0, 1.0), (1.2949852507374631, -2.1966568338249754, 1.0)),
    _product((2.490627285651252793,), (0.0, 0.0, 1.0), (1.57803468208092486, -2.38535645472061657, 1.0)),
    _product((-16.54810288924490272,), (0.0, 0.0, 1.0), (-1.21712927295533244, 1.0),
             (-0.61620406037800089, 1.0)),
    _product((47.37952196281928122,), (0.0, 0.0, 1.0), (-1.203071208372362603, 1.0),
             (-0.658047292653547382, 1.0)),
    _product((-34.87065786149660974,), (0.0, 0.0, 1.0), (-1.2, 1.0), (-2 / 3, 1.0)),
    _product((2.5,), (0.0, 0.0, 1.0), (-1.0, 1.0), (-0.6, 1.0)))))
TSIT5 = Tableau(
    "tsit5", 5, c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    a=((), (0.161,), (-0.008480655492356989, 0.335480655492357),
       (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
       (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
       (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
       _TSIT5[:6]),
    b=_TSIT5,
    b_error=(-0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995, -0.1447110071732629,
             0.5823571654525552, -0.45808210592918697, 1 / 66),
    fsal=True, stable=3.506846, dense=_TSIT5_DENSE, error_order=5)

TABLEAUS: dict[str, Tableau] = {m.name: m for m in (EULER, MIDPOINT, HEUN, RK4, BOSH3, DOPRI5, TSIT5)}


def tableau(method: str | Tableau) -> Tableau:
    """The table of a method given by name, or as itself; ValueError names the methods there are."""
    if isinstance(method, Tableau):
        return method
    if method not in TABLEAUS:
        raise ValueError(f"there is no explicit method {method!r}; there are {', '.join(TABLEAUS)}")
    return TABLEAUS[method]
