"""Live figures: an experiment's knobs and view with an engine behind them.

``explore(experiment, ...)`` gives a widget that trains in the kernel; in the rendered book the same front end
trains in the page. The import is cheap; torch and the widget machinery come with the first call. """

__all__ = ["explore"]


def __getattr__(name: str):
    if name == "explore":
        from nde_lab.explore.widget import explore

        return explore
    raise AttributeError(f"nde_lab.explore has no attribute {name!r}")
