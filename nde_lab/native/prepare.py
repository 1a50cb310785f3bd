"""``python -m nde_lab.native.prepare MODULE CLASS FIXED``: compile one experiment and leave it on disk.

A process of its own, at low priority, for ``nde_lab.native.experiments.begin``. FIXED is JSON, the fixed
knobs. It ends with 0 also where the experiment is refused: the reason is left on disk.
"""
from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys


def main(arguments: list[str]) -> int:
    module, name, fixed = arguments
    with contextlib.suppress(AttributeError, OSError):  # not on every platform
        os.nice(10)
    import torch
    torch.set_num_threads(1)
    from nde_lab.experiment import Run
    from nde_lab.native import experiments
    run = Run(getattr(importlib.import_module(module), name), json.loads(fixed))
    with contextlib.suppress(ValueError):
        experiments.get(run.experiment, run.examples)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
