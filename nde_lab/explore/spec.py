"""What an explorable is, without anything that shows it: experiment, first settings, controls and texts."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nde_lab.experiment import Frame, Run, configure, knobs_of, run
from nde_lab.knobs import Knob
from nde_lab.random import check_seed


@dataclass(frozen=True)
class Explorer:
    """An experiment made ready to be explored. ``values`` are the first settings of all knobs; ``controls``
    names those that the reader may turn; ``steps`` overrides the plan's length."""

    experiment: Any
    values: Mapping[str, Any]
    controls: tuple[str, ...]
    predict: str = ""
    after: str = ""
    alt: str = ""
    title: str = ""
    seed: int = 0
    steps: int = 1
    autoplay: bool = True

    @property
    def name(self) -> str:
        return type(self.experiment).__name__

    def run(
        self, knobs: Mapping[str, Any] | None = None, *, seed: int | None = None, engine: str = "eager"
    ) -> Run:
        """A run with these settings, other knob values and seed on request; engine as in ``experiment.run``."""
        return run(
            self.experiment,
            {**self.values, **(knobs or {})},
            seed=self.seed if seed is None else seed,
            steps=self.steps,
            engine=engine,
        )

    def view(self):
        return self.experiment.view()

    def to_dict(self, *, engines: Sequence[str] = ("kernel",), still: str | None = None) -> dict:
        """The JSON that the front end reads (front/widget.js describes it)."""
        live = type(self.experiment).live
        knobs = [_knob_dict(n, k, self.values[n], n in live) for n, k in knobs_of(self.experiment).items()]
        return {
            "title": self.title,
            "name": self.name,
            "predict": self.predict,
            "after": self.after,
            "alt": self.alt,
            "view": self.view().to_dict(),
            "knobs": knobs,
            "controls": list(self.controls),
            "seed": self.seed,
            "autoplay": self.autoplay,
            "plan": {"steps": self.steps, "every": self.experiment.plan.every},
            "engines": list(engines),
            "still": still,
        }

    def settings(self) -> str:
        """The first settings in words: "lr = 0.01, width = 16, seed 0"."""
        return ", ".join(
            [f"{n} = {v:g}" if isinstance(v, float) else f"{n} = {v}" for n, v in self.values.items()]
            + [f"seed {self.seed}"]
        )

    def caption(self) -> str:
        """What the figure shows and its first settings: for paper, where nothing else can say it."""
        return f"{self.alt} ({self.settings()})"


def explorer(
    experiment,
    *,
    controls=None,
    predict="",
    after="",
    seed=0,
    alt=None,
    title=None,
    steps=None,
    autoplay=True,
    values=None,
    **knobs,
) -> Explorer:
    """Check everything and make an ``Explorer``. Arguments as in ``nde_lab.explore.explore``; ``values`` gives knob
    values as a mapping, in which a knob may have the name of an argument (``steps``)."""
    instance, live = configure(experiment, {**(values or {}), **knobs})
    values = {n: getattr(instance, n) for n in type(instance).fixed} | live
    controls = tuple(values if controls is None else controls)
    for name in controls:
        if name not in values:
            raise ValueError(
                f"{type(instance).__name__} has no knob {name!r} to control; its knobs: {', '.join(values)}"
            )
    plan = instance.plan
    steps = plan.steps if steps is None else steps
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"an explorable takes a whole number of steps >= 1, got {steps!r}")
    if alt is not None and not alt.strip():
        raise ValueError(
            "alt is empty; say in a sentence what the figure shows, or leave it out to use the view's text"
        )
    return Explorer(
        instance,
        values,
        controls,
        predict,
        after,
        alt or instance.view().alt(),
        title or "",
        check_seed(seed),
        steps,
        autoplay,
    )


def _knob_dict(name: str, k: Knob, value: Any, live: bool) -> dict:
    toggle = bool(k.choices) and all(isinstance(c, bool) for c in k.choices)
    integer = isinstance(k.default, int) and not isinstance(k.default, bool)
    return {
        "name": name,
        "label": k.label,
        "kind": "toggle" if toggle else "choice" if k.choices else "range",
        "low": k.low,
        "high": k.high,
        "scale": k.scale,
        "choices": list(k.choices),
        "default": value,
        "unit": k.unit,
        "help": k.help,
        "live": live,
        "restarts": not live or k.restarts,
        "integer": integer,
    }


def png(view, frame: Frame, *, width: float = 8.0, dpi: int = 110, note: str = "") -> bytes:
    """The view of one frame as PNG bytes (matplotlib, without pyplot: safe in any thread); ``note`` stands below it,
    for where a picture has no caption (PDF)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from nde_lab.views import still

    figure, out = still(view, frame, width=width), io.BytesIO()
    FigureCanvasAgg(figure)
    if note:
        figure.supxlabel(textwrap.fill(note, 125), fontsize=8, color="#555555")
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def data_uri(image: bytes) -> str:
    """PNG bytes as an address that a page may carry inside itself."""
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


class Still:
    """An explorable where nothing can move: the picture of the default run, its text, and its settings."""

    def __init__(self, made: Explorer, frame: Frame):
        self.explorer, self.frame = made, frame
        self._png = png(made.view(), frame, note=made.caption())

    def _repr_png_(self) -> bytes:
        return self._png

    def _repr_mimebundle_(self, include=None, exclude=None):
        return (
            {"image/png": base64.b64encode(self._png).decode("ascii"), "text/plain": repr(self)},
            {"image/png": {"alt": self.explorer.alt}},
        )

    def __repr__(self) -> str:
        return (
            f"{self.explorer.title or self.explorer.name}: {self.explorer.alt} ({self.explorer.settings()}; "
            f"{self.frame.status.sentence})"
        )
