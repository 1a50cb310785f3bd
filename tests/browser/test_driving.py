"""The way in which widgets are driven here finds a control that does nothing, also while training goes on."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nde_lab.experiment import Knob, experiment
from nde_lab.explore.page import static_html
from nde_lab.explore.spec import explorer
from tests.browser.driving import Widget
from tests.toys import SineFit

pytestmark = pytest.mark.browser


@experiment(paper="toy")
@dataclass(frozen=True)
class Idle(SineFit):
    """One of its live knobs is read by nobody."""

    live = SineFit.live | {"nothing": Knob(0.5, low=0.0, high=1.0)}


@pytest.mark.parametrize("steps", [20, 3000])
def test_a_control_that_changes_nothing_is_found_out(browser, tmp_path, steps):
    made = explorer(Idle, controls=["nothing", "lr", "width", "act"], steps=steps)
    file = tmp_path / "idle.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{static_html(made, shared=False)}", encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector(".ndl-root[data-painted]")
    widget = Widget(page, page.query_selector(".ndl-root"))
    idle, *others = widget.controls()
    with pytest.raises(AssertionError, match="nothing gives the same picture at Home and at End"):
        widget.answers(idle, seconds=1)
    for control in others:
        widget.answers(control)
    page.close()
