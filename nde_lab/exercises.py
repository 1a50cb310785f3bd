"""Exercises that answer back: a law to obey, measured words when it breaks, hints from general to specific.

An exercise is a function of the reader's answer, registered with its hints::

    @exercise(hints=("Which quantity grows?", "Apply Ito's formula to x^2.", "Solve sigma^2 = 2 a."))
    def critical_sigma(answer):
        for a in (0.5, 1.0, 2.0):
            growth = math.exp(answer(a) ** 2 - 2 * a)
            require(abs(growth - 1) < 0.02, f"With a = {a:g} the mean square is multiplied by {growth:.2f}.")
        return "at your sigma the mean square stands still for every a."

and called as ``check.critical_sigma(my_answer)``. It never raises: an empty blank, a wrong answer and a crash
inside the answer all come back as a ``Result`` that says what was seen and gives a hint. Each failed attempt
brings the next hint; an empty blank costs nothing.

In a notebook an exercise is three code cells with the same ``exercise`` name in their metadata, tagged
``exercise-blank`` (defines the answer, unfinished), ``exercise-check`` (ends with the call) and
``exercise-solution`` (folded; a full answer that ends with its own check). They use nothing but the cells
tagged ``setup``; ``tests/notebooks`` runs every blank and every solution of every chapter.
"""
from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:      # a grader starts many processes, and exercises without tensors do without torch
    from torch import Tensor


class Wrong(Exception):
    """A law is broken; the message says what was measured and what the law asks."""


class NotYet(AssertionError):
    """What ``Result.require`` raises. A notebook shows its sentences, and no traceback above them."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class _Empty(Exception):
    """The blank has not been filled."""


def require(holds, otherwise: str) -> None:
    """Go on if ``holds``, else end the check with the sentence ``otherwise``: what was seen, what is due."""
    if not bool(holds):
        raise Wrong(otherwise)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers for a law to try, float64, the same for a seed every time."""
    import torch
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True)
class Result:
    """What a check answers. passed: obeyed or not; says: what was seen; hint: what to think about (or "").

    attempt counts the failed attempts so far (0 for an empty blank); last: no more specific hint follows.
    """
    name: str
    passed: bool
    says: str
    hint: str = ""
    attempt: int = 0
    last: bool = False

    @property
    def verdict(self) -> str:
        if self.passed:
            return "Passed"
        return f"Not yet (attempt {self.attempt})" if self.attempt else "Not started"

    def __bool__(self) -> bool:
        return self.passed

    def require(self) -> Result:
        """The result itself if passed, else a ``NotYet`` with the same words: for graders, who look for errors."""
        if not self.passed:
            raise NotYet(repr(self))
        return self

    def _lines(self) -> list[str]:
        more = "" if self.last or not self.attempt else " Run the check again for a plainer one."
        return [f"{self.verdict}: {self.says}", *([f"Hint: {self.hint}{more}"] if self.hint else [])]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        mark, edge = ("✓", "#009e73 solid") if self.passed else ("…", "#d98200 dashed")
        first, *hint = map(html.escape, self._lines())
        body = f"<strong>{mark}</strong> {first}" + "".join(f"<br><em>{line}</em>" for line in hint)
        style = f"border-left:4px {edge};padding:.3em .8em"
        return f'<div class="ndl-check" role="status" style="{style}">{body}</div>'


def _watched(answer):
    """The answer, with an empty blank (None or ..., in a tuple or returned too) made an _Empty."""
    if answer is None or answer is Ellipsis:
        raise _Empty
    if isinstance(answer, tuple):
        return tuple(map(_watched, answer))
    if not callable(answer):
        return answer

    @functools.wraps(answer)
    def call(*args, **kwargs):
        return _watched(answer(*args, **kwargs))
    return call


class Exercise:
    """A law with its hints; call it with an answer. ``failures`` counts failed attempts since a pass."""

    def __init__(self, law: Callable[[object], str], hints: Sequence[str]):
        functools.update_wrapper(self, law)
        self.name, self.law, self.hints, self.failures = law.__name__, law, tuple(hints), 0

    def __call__(self, answer) -> Result:
        try:
            says = self.law(_watched(answer))
        except _Empty:
            return Result(self.name, False, "the blank is still empty.", self.hints[0])
        except Wrong as wrong:
            says = str(wrong)
        except Exception as error:      # the reader's code may raise anything, and must not stop the notebook
            says = f"your code stopped with {type(error).__name__}: {error}"
        else:
            self.failures = 0
            return Result(self.name, True, says)
        level = min(self.failures, len(self.hints) - 1)
        self.failures += 1
        return Result(self.name, False, says, self.hints[level], self.failures, level == len(self.hints) - 1)


def exercise(*, hints: Sequence[str]) -> Callable[[Callable[[object], str]], Exercise]:
    """Decorator: turn ``law(answer) -> sentence`` (which calls ``require``) into an ``Exercise``.

    hints: at least two sentences, the first general, the last nearly the solution (else a ValueError).
    """
    if isinstance(hints, str) or len(hints) < 2:
        raise ValueError(f"an exercise needs at least two hints, from general to specific, got {hints!r}")
    return lambda law: Exercise(law, hints)
