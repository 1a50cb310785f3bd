"""A run that shows on standard error how far it is."""
from __future__ import annotations

import sys
from collections.abc import Iterator


class WithProgress(Iterator):
    """A run (``nde_lab.experiment.Run``) that writes a one-line bar while it is consumed."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):        # everything else is the run's
        return getattr(self._inner, name)

    def __next__(self):
        try:
            made = next(self._inner)
        except StopIteration:
            sys.stderr.write("\n")
            raise
        filled = round(30 * made.step / self._inner.steps)
        sys.stderr.write(f"\r[{'#' * filled}{'.' * (30 - filled)}] {made.status.sentence}")
        sys.stderr.flush()
        return made
