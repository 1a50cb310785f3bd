"""The widget's glue in a real browser, with an engine of a few lines: what each control asks it to do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nde_lab.experiment import Knob, experiment
from tests.toys import SineFit

pytestmark = pytest.mark.browser


@experiment(paper="toy")
@dataclass(frozen=True)
class Late(SineFit):
    """Its live knob is felt when a run starts."""

    live = {"lr": Knob(1e-2, low=1e-5, high=1.0, scale="log", restarts=True)}


def move(page, knob, times=1, key="ArrowRight"):
    page.focus(f"[data-knob={knob}]")
    for _ in range(times):
        page.keyboard.press(key)


def calls(page, kind):
    return page.evaluate("(kind) => calls.filter(([k]) => k === kind).map(([, o]) => o)", kind)


def picture(page):
    return page.evaluate("document.querySelector('canvas').toDataURL()")


def test_a_live_knob_moves_inside_the_run_and_a_fixed_one_restarts_it(page):
    p = page()
    assert len(calls(p, "start")) == 1 and not calls(p, "start")[0]["paused"]
    move(p, "lr")
    assert len(calls(p, "start")) == 1
    assert calls(p, "set")[-1]["live"]["lr"] > 0.01
    move(p, "width")
    started = calls(p, "start")
    assert len(started) == 2 and started[1]["gen"] > started[0]["gen"] and started[1]["knobs"]["width"] > 8
    assert started[1]["knobs"]["lr"] == calls(p, "set")[-1]["live"]["lr"], (
        "the moved live knob stays where it was put"
    )


def test_a_live_knob_that_is_felt_at_the_start_only_begins_a_run_again(page):
    p = page(experiment=Late)
    move(p, "lr")
    assert len(calls(p, "start")) == 2 and not calls(p, "set")
    assert calls(p, "start")[-1]["knobs"]["lr"] > 0.01
    assert "a new value starts a new run" in p.locator("[data-knob=lr]").get_attribute("title")


def test_a_live_knob_restarts_a_finished_run(page):
    p = page()
    p.evaluate("answer(last('start').gen, 100, {kind: 'finished', sentence: 'finished: 100 steps'})")
    assert p.locator(".ndl-status").inner_text().startswith("finished: 100 steps")
    move(p, "lr")
    assert len(calls(p, "start")) == 2 and not calls(p, "set")


def test_sliders_stop_at_the_values_that_the_engine_serves_and_keys_move_them_there(page):
    p = page()
    p.evaluate(
        "const off = (v, k) => Math.abs(v - k.width);"
        "engines.one.snap = (k) => ({...k, width: [4, 8, 32].reduce((a, b) => off(b, k) < off(a, k) ? b : a)}); 0"
    )
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        move(p, "width", key=key)
        p.evaluate("answer(last('start').gen, 0)")
        seen.append(p.locator("[data-knob=width]").get_attribute("aria-valuetext"))
    assert seen == ["32", "32", "8", "4", "4"]
    assert calls(p, "start")[-1]["knobs"]["width"] == 4


def test_choices_that_the_engine_does_not_serve_cannot_be_taken(page):
    p = page(engines="() => Object.assign(fake('one')(), { snap: (k) => ({ ...k, act: 'tanh' }) })")
    offered = p.locator("input[data-knob=act]").evaluate_all("all => all.map(r => !r.disabled)")
    assert offered == [True, False]
    assert all(page().locator("input[data-knob=act]").evaluate_all("all => all.map(r => !r.disabled)"))


def test_frames_of_an_old_generation_are_not_drawn(page):
    p = page()
    move(p, "width")
    p.evaluate("answer(last('start').gen, 3)")
    p.wait_for_function("() => document.querySelector('.ndl-root').dataset.step === '3'")
    before = picture(p)
    p.evaluate("answer(last('start').gen - 1, 77)")
    p.wait_for_timeout(100)
    assert picture(p) == before and p.locator(".ndl-root").get_attribute("data-step") == "3"


def test_while_dragging_a_run_waits_for_the_first_picture_of_the_one_before(page):
    p = page()
    # At once, as a fast pointer does it: six moves, and then the answer to the first of them.
    p.evaluate("""() => { const s = document.querySelector('[data-knob=width]');
      for (let i = 0; i < 6; i++) { s.value = Number(s.value) + 1; s.dispatchEvent(new Event('input')); }
      window.before = calls.filter(([k]) => k === 'start').length; answer(last('start').gen, 0); }""")
    assert p.evaluate("before") == 2
    started = calls(p, "start")
    assert len(started) == 3 and started[2]["knobs"]["width"] == p.evaluate("widget.values.width"), (
        "the newest one is run"
    )


def test_a_silent_engine_does_not_hold_the_newest_move_back_for_long(page):
    p = page()
    move(p, "width", 4)
    p.wait_for_function("() => calls.filter(([k]) => k === 'start').length === 3", timeout=2000)
    assert calls(p, "start")[2]["knobs"]["width"] == p.evaluate("widget.values.width")


def test_pause_step_run_reset(page):
    p = page()
    p.click("text=Pause")
    p.evaluate("answer(last('start').gen, 5)")
    p.wait_for_function(
        "() => document.querySelector('.ndl-status').textContent.startsWith('paused at step 5 of 100')"
    )
    p.get_by_role("button", name="Step").click()
    p.get_by_role("button", name="Run", exact=True).click()
    asked = p.evaluate("calls.map(([k]) => k).filter((k) => ['pause', 'step', 'resume'].includes(k))")
    assert asked == ["pause", "step", "resume"]
    move(p, "width", 2)
    p.get_by_role("button", name="Reset").click()
    p.wait_for_function("() => last('start').paused")
    assert calls(p, "start")[-1]["knobs"] == {"width": 8, "act": "tanh", "lr": 0.01}
    assert p.locator("[data-knob=width]").get_attribute("aria-valuetext") == "8"
    p.evaluate("answer(last('start').gen, 0)")
    p.wait_for_function("() => document.querySelector('.ndl-status').textContent.startsWith('ready')")


def test_a_seed_makes_a_new_run_and_a_bad_one_does_not(page):
    p = page()
    p.fill(".ndl-seed", "7")
    p.keyboard.press("Enter")
    assert calls(p, "start")[-1]["seed"] == 7
    for bad in ("-3", "2.5", ""):
        p.fill(".ndl-seed", bad)
        p.keyboard.press("Enter")
        assert p.input_value(".ndl-seed") == "7" and len(calls(p, "start")) == 2
    p.click("text=next")
    p.wait_for_function("() => last('start').seed === 8")


def test_a_pinned_run_stays_behind_the_next_one(page):
    p = page()
    p.click("text=Pin")
    assert "width = 8" in p.locator(".ndl-note").nth(1).inner_text()
    move(p, "width")
    p.evaluate("answer(last('start').gen, 9)")
    p.wait_for_function("() => document.querySelector('.ndl-root').dataset.step === '9'")
    with_ghost = picture(p)
    p.click("text=Unpin")
    p.wait_for_timeout(100)
    assert picture(p) != with_ghost


def test_an_engine_that_cannot_work_makes_way_for_the_next_one(page):
    p = page(engines="refuses, fake('one'), fake('two')")
    assert p.locator(".ndl-badge").inner_text() == "spoken by one"
    p.evaluate("engines.one.onfail({gen: last('start').gen, sentence: 'no workers here', fatal: true})")
    assert p.locator(".ndl-badge").inner_text() == "spoken by two"
    p.evaluate("answer(last('start').gen, 4, {engine: 'two'})")
    p.wait_for_function("() => document.querySelector('.ndl-root').dataset.step === '4'")


def test_without_any_engine_the_reason_is_said(page):
    p = page(engines="refuses", answers=False)
    assert p.locator(".ndl-status").inner_text() == "this one cannot work here"


def test_an_error_is_said_aloud_and_the_next_move_runs_again(page):
    p = page()
    p.evaluate("engines.one.onfail({gen: last('start').gen, sentence: 'it went wrong', fatal: false})")
    assert p.locator(".ndl-status").inner_text() == "it went wrong"
    assert p.locator("[aria-live=polite]").inner_text() == "it went wrong"
    move(p, "width")
    p.evaluate("answer(last('start').gen, 2)")
    p.wait_for_function(
        "() => document.querySelector('.ndl-status').textContent.startsWith('running: step 2')"
    )


def test_a_link_brings_knobs_and_seed_back(page):
    p = page(fragment="#ndl=SineFit&width=32&lr=0.5&seed=11&act=%22lipswish%22")
    assert calls(p, "start")[0]["knobs"] == {"width": 32, "act": "lipswish", "lr": 0.5}
    assert calls(p, "start")[0]["seed"] == 11
    assert p.locator("[data-knob=width]").get_attribute("aria-valuetext") == "32"
