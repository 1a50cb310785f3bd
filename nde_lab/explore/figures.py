"""A frame as a plotly figure: for turning, zooming and reading off, where the live canvas only shows."""

from __future__ import annotations

import numpy as np

from nde_lab.experiment import Frame
from nde_lab.views import ROLES, Arrows, Band, Bars, HeatMap, Line, Paths, Points, Rule, View

_SYMBOLS = {"o": "circle", "s": "square", "x": "x-thin", "^": "triangle-up", "D": "diamond"}


def figure(view: View, frame: Frame):
    """The view of one frame as a ``plotly.graph_objects.Figure``, one subplot a panel.

    Raises ValueError when the view draws an observable that the frame lacks.
    """
    from plotly.subplots import make_subplots

    columns = min(view.columns, len(view.panels))
    rows = -(-len(view.panels) // columns)
    made = make_subplots(rows=rows, cols=columns, subplot_titles=[p.title for p in view.panels])
    for i, panel in enumerate(view.panels):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        for mark in panel.marks:
            if isinstance(mark, Rule):
                (made.add_hline if mark.axis == "y" else made.add_vline)(
                    **{mark.axis: mark.value},
                    line=_line(mark.role),
                    annotation_text=mark.label,
                    exclude_empty_subplots=False,
                    **place,
                )
            else:
                made.add_traces(_traces(mark, frame), rows=place["row"], cols=place["col"])
        for side, axis in (("x", panel.x), ("y", panel.y)):
            log = axis.scale == "log"
            low, high = (
                None if v is None else float(np.log10(v)) if log else v for v in (axis.low, axis.high)
            )
            found = None if low is None and high is None else [low, high]
            update = made.update_xaxes if side == "x" else made.update_yaxes
            update(title_text=axis.label + (" (log)" if log else ""), type=axis.scale, range=found, **place)
        if panel.equal:
            made.update_yaxes(scaleanchor=f"x{i + 1 if i else ''}", **place)
    return made.update_layout(
        template="plotly_white", height=380 * rows, margin={"l": 60, "r": 20, "t": 50, "b": 50}
    )


def _line(role: str, width: float | None = None) -> dict:
    style = ROLES[role]
    dash = ",".join(f"{d}px" for d in style["dash"]) or "solid"
    return {"color": style["color"], "width": width or style["width"], "dash": dash}


def _get(frame: Frame, name: str) -> np.ndarray:
    if name.startswith("history."):
        return np.asarray(frame.history.get(name.removeprefix("history."), []), dtype=float)
    if name not in frame.arrays:
        raise ValueError(f"the view draws {name!r}, but observe gave {sorted(frame.arrays)}")
    return np.asarray(frame.arrays[name], dtype=float)


def _traces(mark, frame: Frame) -> list:
    import plotly.graph_objects as go

    named = {"name": mark.label, "showlegend": bool(mark.label)}
    if isinstance(mark, HeatMap):
        return [
            go.Heatmap(
                x=_get(frame, mark.x),
                y=_get(frame, mark.y),
                z=_get(frame, mark.z),
                colorscale="Cividis",
                zmin=mark.low,
                zmax=mark.high,
                colorbar={"title": mark.label},
            )
        ]
    x, color = _get(frame, mark.x), ROLES[mark.role]["color"]
    if isinstance(mark, Line):
        return [go.Scatter(x=x, y=_get(frame, mark.y), mode="lines", line=_line(mark.role), **named)]
    if isinstance(mark, Points):
        return [
            go.Scatter(
                x=x,
                y=_get(frame, mark.y),
                mode="markers",
                opacity=0.6,
                marker={"color": color, "size": 5, "symbol": _SYMBOLS[ROLES[mark.role]["marker"]]},
                **named,
            )
        ]
    if isinstance(mark, Paths):  # one trace with gaps: hundreds of traces would be slow to turn and zoom
        y = np.atleast_2d(_get(frame, mark.y))
        gap = np.full((len(y), 1), np.nan)
        return [
            go.Scatter(
                x=np.hstack([np.tile(x, (len(y), 1)), gap]).ravel(),
                y=np.hstack([y, gap]).ravel(),
                mode="lines",
                opacity=0.5,
                line=_line(mark.role, 0.8),
                **named,
            )
        ]
    if isinstance(mark, Bars):
        return [go.Bar(x=list(mark.names) or x, y=_get(frame, mark.y), marker_color=color, **named)]
    if isinstance(mark, Band):
        both = np.concatenate([_get(frame, mark.low), _get(frame, mark.high)[::-1]])
        return [
            go.Scatter(
                x=np.concatenate([x, x[::-1]]),
                y=both,
                fill="toself",
                mode="lines",
                opacity=0.3,
                line={"width": 0, "color": color},
                **named,
            )
        ]
    if isinstance(mark, Arrows):
        xs, ys = _arrows(x, *(_get(frame, n) for n in (mark.y, mark.u, mark.v)))
        return [go.Scatter(x=xs, y=ys, mode="lines", line={"color": color, "width": 1}, **named)]
    raise ValueError(f"no plotly picture for a mark of kind {mark.kind!r}")


def _arrows(x, y, u, v) -> tuple[np.ndarray, np.ndarray]:
    """Arrows as one broken line: shaft, head, gap. The longest is as long as the arrows stand apart."""
    spread = np.array([np.ptp(x), np.ptp(y)])
    unit = np.where(spread > 0, spread, 1.0)  # heads keep their shape on axes of unlike size
    tail, shaft = np.stack([x, y]) / unit[:, None], np.stack([u, v]) / unit[:, None]
    shaft = shaft / (np.hypot(*shaft).max() or 1.0) / max(1.0, np.sqrt(len(x)))
    tip, side = tail + shaft, np.stack([-shaft[1], shaft[0]])
    barbs = [tip - 0.3 * shaft + 0.2 * side, tip - 0.3 * shaft - 0.2 * side]
    points = (
        np.stack([tail, tip, barbs[0], tip, barbs[1], np.full_like(tip, np.nan)], axis=-1)
        * unit[:, None, None]
    )
    return points[0].ravel(), points[1].ravel()
