"""The sizes at which ``side_by_side.py`` measures."""
from __future__ import annotations

from dataclasses import dataclass, replace

OURS = "nde_lab"
PROBLEMS = ("sde", "rk4", "dopri5")
GRID = {"steps": (16, 64, 256, 1024), "batch": (8, 32, 128, 512), "width": (8, 32, 64, 128),
        "state": (2, 4, 16)}


@dataclass(frozen=True)
class Case:
    """One size of one problem."""
    kind: str
    batch: int = 128
    state: int = 4
    width: int = 32
    steps: int = 64

    @classmethod
    def of(cls, row: dict) -> Case:
        """The case that a measured row belongs to."""
        return cls(**{n: row[n] for n in ("kind", "batch", "state", "width", "steps")})

    def __str__(self) -> str:
        steps = "" if self.kind == "dopri5" else f", steps {self.steps}"
        return f"{self.kind}: batch {self.batch}, state {self.state}, width {self.width}{steps}"


def sizes(kind: str) -> dict[str, tuple[int, ...]]:
    """The sizes of a problem that change, with their values; steps that a solver chooses are not among them."""
    return {n: values for n, values in GRID.items() if kind != "dopri5" or n != "steps"}


def cases(*, quick: bool) -> list[Case]:
    """The middle case of each problem, then one size at a time."""
    found = []
    for kind in PROBLEMS:
        middle = Case(kind)
        found.append(middle)
        if not quick:
            found += [replace(middle, **{n: v}) for n, values in sizes(kind).items() for v in values
                      if v != getattr(middle, n)]
    return found
