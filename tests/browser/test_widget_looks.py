"""What the widget looks like and gives away: files, dark pages, phones, keyboards, screen readers."""

from __future__ import annotations

import pytest

from nde_lab.explore.spec import explorer
from tests.toys import SineFit

pytestmark = pytest.mark.browser


def calls(page, kind):
    return page.evaluate("(kind) => calls.filter(([k]) => k === kind).map(([, o]) => o)", kind)


def test_picture_and_numbers_can_be_saved(page):
    p = page()
    for word, start in (
        ("picture (PNG)", b"\x89PNG"),
        ("numbers (CSV)", b"# SineFit"),
        ("numbers (JSON)", b'{"experiment":"SineFit"'),
    ):
        p.click("summary:has-text('Save')")
        with p.expect_download() as got:
            p.click(f"text={word}")
        assert got.value.path().read_bytes().startswith(start)
        assert got.value.suggested_filename.startswith("sinefit-seed0-step0.")


@pytest.mark.parametrize("ground, theme", [("#ffffff", "light"), ("#101418", "dark")])
def test_the_picture_follows_the_page_from_light_to_dark(page, ground, theme):
    p = page(style=f"background: {ground}")
    assert p.locator(".ndl-root").get_attribute("data-theme") == theme
    corner = p.evaluate(
        "[...document.querySelector('canvas').getContext('2d').getImageData(1, 1, 1, 1).data].slice(0, 3)"
    )
    assert (sum(corner) > 600) == (theme == "light")
    other = "#101418" if theme == "light" else "#ffffff"
    p.evaluate(f"document.body.style.background = '{other}'")
    p.wait_for_function(f"() => document.querySelector('.ndl-root').dataset.theme !== '{theme}'")
    p.wait_for_timeout(100)
    assert (
        p.evaluate(
            "[...document.querySelector('canvas').getContext('2d').getImageData(1, 1, 1, 1).data].slice(0, 3)"
        )
        != corner
    )


def test_on_a_phone_nothing_sticks_out_and_panels_stack(page):
    p = page(context={"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2})
    assert p.evaluate("document.documentElement.scrollWidth") <= 360
    box = p.locator("canvas").bounding_box()
    assert box["height"] > box["width"], "two panels below each other"
    assert p.evaluate("document.querySelector('canvas').width") == pytest.approx(2 * box["width"], abs=2)


def test_reduced_motion_waits_for_the_reader(page):
    p = page(context={"reduced_motion": "reduce"})
    assert calls(p, "start")[0]["paused"]


def test_autoplay_off_waits_and_a_widget_out_of_sight_does_not_start(page):
    p = page(autoplay=False)
    assert calls(p, "start")[0]["paused"]
    far = page(style="padding-top: 4000px", answers=False)
    far.wait_for_timeout(300)
    assert calls(far, "start") == []
    far.locator(".ndl-root").scroll_into_view_if_needed()
    far.wait_for_function("() => last('start')")


def test_everything_has_a_name_and_a_visible_focus(page):
    p = page()
    nameless = p.evaluate("""[...document.querySelectorAll('button, input, select, summary')].filter((e) =>
        !(e.textContent.trim() || [...(e.labels ?? [])].some((l) => l.textContent.trim()) || e.getAttribute('aria-label'))).length""")
    assert nameless == 0
    assert p.locator("canvas").get_attribute("aria-label").startswith(explorer(SineFit).alt)
    reached = set()
    p.evaluate("document.activeElement.blur()")
    for _ in range(14):
        p.keyboard.press("Tab")
        seen = p.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e), l = e.nextElementSibling;"
            "const t = e.type === 'radio' ? getComputedStyle(l) : s; return [e.dataset.knob ?? e.textContent, t.outlineStyle]; })()"
        )
        if p.evaluate("document.activeElement !== document.body"):
            reached.add(seen[0])
            assert seen[1] != "none", f"no visible focus on {seen[0]}"
    assert {"width", "act", "lr", "Pause", "Step", "Reset", "next", "Pin", "Save", "Copy link"} <= reached


def test_leaving_frees_the_engine(page):
    p = page()
    p.evaluate("widget.destroy()")
    assert calls(p, "stop") == ["one"] and p.locator(".ndl-root").count() == 0
    p.evaluate("answer(last('start').gen, 50)")
