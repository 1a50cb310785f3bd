"""How a run or a solve stands, in one shape for both."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """kind is "running", "finished", "stopped" or "diverged"; the sentence is for people.

    On divergence: the first step after which something was not finite (1 is the first step), its model time where one
    is known, and the first such row where rows are told apart.
    """
    kind: str
    sentence: str
    step: int
    time: float | None = None
    row: int | None = None
