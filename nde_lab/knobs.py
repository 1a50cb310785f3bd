"""Knobs: the values that a reader may turn, with their ranges, and the sentences that refuse a bad one."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Knob:
    """A value that a reader may turn: a range (low, high; linear or log scale), or a list of choices.

    restarts: for a live knob that is felt only when a run starts, or whose move would leave a picture half of the
    old value and half of the new: a widget begins the run again when it is moved.
    """
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple = ()
    scale: str = "linear"
    label: str = ""
    unit: str = ""
    help: str = ""
    restarts: bool = False

    def __post_init__(self):
        if self.scale not in ("linear", "log"):
            raise ValueError(f"a knob's scale is linear or log, got {self.scale!r}")
        if not self.choices and (self.low is None or self.high is None or not self.low < self.high):
            raise ValueError(f"a knob needs choices, or low < high; got low={self.low}, high={self.high}")
        if self.scale == "log" and not self.low > 0:
            raise ValueError(f"a log knob needs low > 0, got {self.low}")
        self.check("default", self.default)

    def check(self, name: str, value):
        """The value, converted to the default's type; a ValueError says what is allowed."""
        where = f"knob {name!r}" if name != "default" else "a knob's default"
        if self.choices:
            for choice in self.choices:
                if value == choice and isinstance(value, bool) == isinstance(choice, bool):
                    return choice
            raise ValueError(f"{where} is {value!r}; it takes one of {', '.join(map(repr, self.choices))}")
        if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise ValueError(f"{where} is {value!r} of type {type(value).__name__}; "
                             f"it takes a number from {self.low:g} to {self.high:g}")
        if isinstance(self.default, int) and not isinstance(self.default, bool):
            if value != int(value):
                raise ValueError(f"{where} is {value!r}; it takes a whole number from {self.low:g} to {self.high:g}")
            value = int(value)
        # One part in 10^9 of slack: a slider's end computed on a log scale may round past the range.
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        if not self.low - slack <= value <= self.high + slack:
            raise ValueError(f"{where} is {value:g}; it takes {self.low:g} to {self.high:g}"
                             + (f" {self.unit}" if self.unit else ""))
        clipped = min(max(value, self.low), self.high)
        return type(self.default)(clipped)


def knob(default, *, low=None, high=None, choices=(), scale="linear", label="", unit="", help=""):
    """A fixed knob as a dataclass field: ``width: int = knob(32, low=8, high=128, scale="log")``."""
    made = Knob(default, low, high, tuple(choices), scale, label, unit, help)
    return field(default=default, metadata={"knob": made})
