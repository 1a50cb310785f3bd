"""Views: a small description of a figure, drawn live by the widget's canvas and, here, by matplotlib for stills.

A view is panels with axes and marks; a mark names the observables that it shows (or ``history.loss`` over
``history.step``). Its role, not a colour, says what it is; the roles below have one meaning in the whole book.
"""
from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field

import numpy as np

# One visual language (Okabe-Ito palette): colour, dash pattern, width; never by colour alone.
ROLES: dict[str, dict] = {
    "data": {"color": "#8a8a8a", "dash": [], "width": 1.0, "marker": "o"},
    "ode": {"color": "#0072b2", "dash": [6, 4], "width": 2.0, "marker": "s"},
    "sde": {"color": "#d98200", "dash": [], "width": 2.0, "marker": "o"},
    "truth": {"color": "#1a1a1a", "dash": [2, 3], "width": 2.0, "marker": "x"},
    "train": {"color": "#1f4e79", "dash": [], "width": 1.2, "marker": "o"},
    "test": {"color": "#d55e00", "dash": [], "width": 2.6, "marker": "^"},
    "accent": {"color": "#009e73", "dash": [9, 3, 2, 3], "width": 2.0, "marker": "D"},
    "neutral": {"color": "#6b6b6b", "dash": [], "width": 1.2, "marker": "o"},
}
FEW = 4      # so few points are marks ("your step"), not a cloud: they are drawn to be found
SCALES = ("linear", "log")


@dataclass(frozen=True)
class Axis:
    """One axis: its label says symbol and unit; ``low``/``high`` fix the range (None: fitted to the data)."""
    label: str
    scale: str = "linear"
    low: float | None = None
    high: float | None = None

    def __post_init__(self):
        if self.scale not in SCALES:
            raise ValueError(f"an axis has scale linear or log, got {self.scale!r}")


@dataclass(frozen=True)
class Mark:
    """What all marks share: a role of ROLES and a label (empty: none)."""

    def __post_init__(self):
        role = getattr(self, "role", "neutral")
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}; roles: {', '.join(ROLES)}")

    @property
    def kind(self) -> str:
        return type(self).__name__.lower()

    def observables(self) -> list[str]:
        """The names of the arrays this mark draws."""
        return [v for k in ("x", "y", "z", "u", "v", "low", "high") if isinstance(v := getattr(self, k, None), str)]


@dataclass(frozen=True)
class Line(Mark):
    """One curve: x (n,), y (n,)."""
    x: str
    y: str
    role: str = "neutral"
    label: str = ""


@dataclass(frozen=True)
class Points(Mark):
    """A cloud: x (n,), y (n,)."""
    x: str
    y: str
    role: str = "data"
    label: str = ""


@dataclass(frozen=True)
class Paths(Mark):
    """Many thin curves over one x: x (n,), y (paths, n)."""
    x: str
    y: str
    role: str = "sde"
    label: str = ""


@dataclass(frozen=True)
class Bars(Mark):
    """Bars at x (n,) of height y (n,). ``names`` label the bars instead of x's numbers."""
    x: str
    y: str
    role: str = "neutral"
    label: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeatMap(Mark):
    """A matrix z (rows, columns) over the centres x (columns,) and y (rows,); row 0 at the bottom."""
    z: str
    x: str
    y: str
    label: str = ""
    low: float | None = None
    high: float | None = None

    def observables(self) -> list[str]:
        return [self.z, self.x, self.y]


@dataclass(frozen=True)
class Arrows(Mark):
    """A vector field: arrows (u, v) (n,) at (x, y) (n,)."""
    x: str
    y: str
    u: str
    v: str
    role: str = "neutral"
    label: str = ""


@dataclass(frozen=True)
class Band(Mark):
    """The region between ``low`` (n,) and ``high`` (n,) over x (n,)."""
    x: str
    low: str
    high: str
    role: str = "sde"
    label: str = ""


@dataclass(frozen=True)
class Rule(Mark):
    """A straight reference line at ``value`` (a number) across the panel; ``axis`` "y" is horizontal."""
    value: float
    axis: str = "y"
    role: str = "truth"
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """Axes, marks and the text that stands for them. ``alt`` says what the figure shows; it has no default."""
    title: str
    x: Axis
    y: Axis
    marks: list[Mark]
    alt: str
    equal: bool = False

    def __post_init__(self):
        if not self.alt.strip():
            raise ValueError(f"panel {self.title!r} needs alternative text that says what it shows")
        if not self.marks:
            raise ValueError(f"panel {self.title!r} has no marks")


@dataclass(frozen=True)
class View:
    """Panels side by side (two at most on a wide screen; they stack on a narrow one)."""
    panels: list[Panel]
    columns: int = 2

    def observables(self) -> set[str]:
        """Names of all observables that the marks draw, history left out."""
        names = {n for p in self.panels for m in p.marks for n in m.observables()}
        return {n for n in names if not n.startswith("history.")}

    def alt(self) -> str:
        """One text for the whole view."""
        return " ".join(f"{p.title}: {p.alt}" if p.title else p.alt for p in self.panels)

    def to_dict(self) -> dict:
        """Plain data for the front end, with the roles' styles."""
        panels = [asdict(p) | {"marks": [asdict(m) | {"kind": m.kind} for m in p.marks]} for p in self.panels]
        return {"panels": panels, "columns": self.columns, "roles": ROLES}


@dataclass
class _Artist:
    ax: object
    frame: object
    named: list = field(default_factory=list)

    def get(self, name: str) -> np.ndarray:
        if name.startswith("history."):
            return np.asarray(self.frame.history.get(name.removeprefix("history."), []), dtype=float)
        if name not in self.frame.arrays:
            raise ValueError(f"the view draws {name!r}, but observe gave {sorted(self.frame.arrays)}")
        return np.asarray(self.frame.arrays[name], dtype=float)

    def draw(self, mark: Mark) -> None:
        ax, style = self.ax, ROLES[getattr(mark, "role", "neutral")]
        color, label = style["color"], getattr(mark, "label", "") or None
        dash = (0, [d / style["width"] for d in style["dash"]]) if style["dash"] else "-"
        if isinstance(mark, Line):
            x, y = self.get(mark.x), self.get(mark.y)
            ax.plot(x, y, color=color, ls=dash, lw=style["width"], label=label)
        elif isinstance(mark, Points):
            x, y = self.get(mark.x), self.get(mark.y)
            few = len(x) <= FEW
            ax.scatter(x, y, s=40 if few else 7, color=color, marker=style["marker"], alpha=0.95 if few else 0.55,
                       linewidths=1.6 if few else 0.8, zorder=3 if few else 1, label=label)
        elif isinstance(mark, Paths):
            y = np.atleast_2d(self.get(mark.y))
            lines = ax.plot(self.get(mark.x), y.T, color=color, lw=0.7, alpha=0.45, ls=dash)
            lines[0].set_label(label)
        elif isinstance(mark, Bars):
            x = self.get(mark.x)
            width = 0.8 * (np.diff(x).min() if len(x) > 1 else 1.0)
            ax.bar(x, self.get(mark.y), width=width, color=color, edgecolor="black", lw=0.6, label=label)
            if mark.names:
                crowded = sum(map(len, mark.names)) > 30
                ax.set_xticks(x, ["\n" * (crowded and i % 2) + name for i, name in enumerate(mark.names)])
        elif isinstance(mark, HeatMap):
            image = ax.pcolormesh(self.get(mark.x), self.get(mark.y), self.get(mark.z), shading="nearest",
                                  cmap="cividis", vmin=mark.low, vmax=mark.high)
            ax.figure.colorbar(image, ax=ax, label=mark.label)
        elif isinstance(mark, Arrows):
            ax.quiver(self.get(mark.x), self.get(mark.y), self.get(mark.u), self.get(mark.v), color=color,
                      angles="xy", width=0.004, label=label)
        elif isinstance(mark, Band):
            ax.fill_between(self.get(mark.x), self.get(mark.low), self.get(mark.high), color=color, alpha=0.2, lw=0,
                            label=label)
        elif isinstance(mark, Rule):
            line = ax.axhline if mark.axis == "y" else ax.axvline
            line(mark.value, color=color, ls=dash, lw=1.2, label=label)


def _few_ticks(axis, low: float, high: float) -> None:
    """Powers of ten on a log axis, with 2 and 5 between them on a short one; nothing else is named."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    if high < 1e3 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())


def still(view: View, frame, *, width: float = 8.0):
    """The view of one frame as a matplotlib Figure (not registered with pyplot, so safe in any thread)."""
    from matplotlib.figure import Figure
    columns = min(view.columns, len(view.panels))
    rows = -(-len(view.panels) // columns)
    figure = Figure(figsize=(width, 0.42 * width * rows if columns > 1 else 0.55 * width * rows), layout="constrained")
    for i, panel in enumerate(view.panels):
        ax = figure.add_subplot(rows, columns, i + 1)
        artist = _Artist(ax, frame)
        for mark in panel.marks:
            artist.draw(mark)
        for side, axis in (("x", panel.x), ("y", panel.y)):
            getattr(ax, f"set_{side}label")(axis.label + (" (log)" if axis.scale == "log" else ""))
            if axis.scale != "linear":         # setting a scale, also the same one, drops the names of bars
                getattr(ax, f"set_{side}scale")(axis.scale)
            getattr(ax, f"set_{side}lim")(axis.low, axis.high)
            if axis.scale == "log":
                _few_ticks(getattr(ax, f"{side}axis"), *getattr(ax, f"get_{side}lim")())
        ax.set_title("\n".join(textwrap.wrap(panel.title, 46)), fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        if panel.equal:
            ax.set_aspect("equal", adjustable="box")
        if ax.get_legend_handles_labels()[1]:
            ax.legend(fontsize=8, frameon=False)
    return figure
