import json
from dataclasses import replace

import numpy as np
import pytest
from tests.toys import NoisyGrowth, SineFit

from nde_lab.experiment import Frame, Status, last, run
from nde_lab.views import (
    Arrows,
    Axis,
    Band,
    Bars,
    HeatMap,
    Line,
    Panel,
    Paths,
    Points,
    Rule,
    View,
    still,
)


def _frame() -> Frame:
    x = np.linspace(0, 1, 5)
    arrays = {"x": x, "y": x**2, "many": np.stack([x, 2 * x]), "low": x - 1, "high": x + 1, "z": np.outer(x, x)}
    return Frame(0, {"step": np.array([1.0, 2.0]), "loss": np.array([0.5, 0.25])}, arrays, Status("running", "", 0), {}, 0)


ALL = [Line("x", "y", role="ode", label="curve"), Points("x", "y"), Paths("x", "many"), Bars("x", "y"),
       HeatMap("z", "x", "x", label="z"), Arrows("x", "y", "low", "high"), Band("x", "low", "high"), Rule(0.5)]


@pytest.mark.parametrize("mark", ALL, ids=lambda m: m.kind)
def test_every_mark_leaves_ink(mark):
    panel = Panel("p", Axis("x", low=0, high=1), Axis("y", low=-1, high=2), [mark], alt="a picture")
    blank = Panel("p", panel.x, panel.y, [Rule(99.0)], alt="nothing inside the range")
    pictures = []
    for p in (panel, blank):
        figure = still(View([p]), _frame())
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba()).copy())
    assert pictures[0].shape == pictures[1].shape and (pictures[0] != pictures[1]).any(axis=-1).sum() > 40


def test_bars_keep_their_names():
    bars = Bars("x", "y", names=("a", "b", "c", "d", "e"))
    axes = still(View([Panel("p", Axis("x"), Axis("y"), [bars], alt="five bars")]), _frame()).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list("abcde")


@pytest.mark.parametrize("axis, side", [(Axis("n", "log", 3.5, 75), "x"), (Axis("e", "log", 1e-6, 3), "y"),
                                        (Axis("w", "log", 0.02, 2), "x"), (Axis("k", "log", 4, 30), "y")])
def test_names_on_a_log_axis_do_not_overlap(axis, side):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    axes = {"x": Axis("x"), "y": Axis("y"), side: axis}
    panel = Panel("p", axes["x"], axes["y"], [Line("x", "y")], alt="a line")
    figure = still(View([panel, panel]), _frame())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = getattr(figure.axes[0], f"{side}axis")
    ends = sorted(getattr(t.get_window_extent(canvas.get_renderer()), f"interval{side}").tolist()
                  for t in [*drawn.get_ticklabels(), *drawn.get_ticklabels(minor=True)] if t.get_text())
    assert len(ends) >= 2
    assert all(before[1] < after[0] for before, after in zip(ends, ends[1:], strict=False))


def test_observables_are_the_arrays_and_not_the_history():
    view = View([Panel("p", Axis("x"), Axis("y"), [*ALL, Line("history.step", "history.loss")], alt="all")])
    assert view.observables() == {"x", "y", "many", "low", "high", "z"}
    assert json.loads(json.dumps(view.to_dict()))["panels"][0]["marks"][4]["kind"] == "heatmap"


@pytest.mark.parametrize("experiment", [SineFit, NoisyGrowth])
def test_a_view_finds_all_that_it_draws_in_the_frames(experiment):
    frame = last(run(experiment, steps=5))
    assert experiment().view().observables() <= set(frame.arrays)
    still(experiment().view(), frame)


@pytest.mark.parametrize("bad, word", [
    (lambda: Line("x", "y", role="pink"), "unknown role 'pink'"), (lambda: Axis("x", scale="cubic"), "linear or log"),
    (lambda: Panel("p", Axis("x"), Axis("y"), ALL, alt=" "), "alternative text"),
    (lambda: Panel("p", Axis("x"), Axis("y"), [], alt="a"), "no marks"),
    (lambda: still(View([Panel("p", Axis("x"), Axis("y"), [Line("x", "w")], alt="a")]), _frame()), "draws 'w'"),
])
def test_refusals(bad, word):
    with pytest.raises(ValueError, match=word):
        bad()


def test_a_panel_without_text_cannot_be_made_by_replacing_it():
    with pytest.raises(ValueError, match="alternative text"):
        replace(View([Panel("p", Axis("x"), Axis("y"), ALL, alt="a")]).panels[0], alt="")
