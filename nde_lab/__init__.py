"""nde_lab: neural differential equations and the dynamics of learning, as chapters that re-train live.

``import nde_lab`` alone costs nothing: torch is loaded by the first module or name that needs it. Submodules
are reached as attributes (``nde_lab.solvers.sdeint``), and so is ``run`` (``nde_lab.run(experiment)``).
"""
from importlib import import_module
from importlib.util import find_spec

__version__ = "0.1.0"
__all__ = ["__version__", "run"]

_HOME = {"run": "nde_lab.experiment"}


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if not name.startswith("_") and find_spec(f"nde_lab.{name}") is not None:
        return import_module(f"nde_lab.{name}")
    raise AttributeError(f"nde_lab has no module or name {name!r}")


def __dir__() -> list[str]:
    from pkgutil import iter_modules
    return sorted({*__all__, *(module.name for module in iter_modules(__path__))})
