import io
import json
import re

import pytest
from PIL import Image
from toys import NoisyGrowth, SineFit

from nde_lab.explore.page import embed, joined, static_html, stored
from nde_lab.explore.spec import explorer


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory):
    """Programs of toys do not belong into the book's build folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "default_folder", lambda: tmp_path_factory.getbasetemp() / "stored")
        yield


def spec_in(html: str) -> dict:
    return json.loads(re.search(r'class="ndl-spec">(.*?)</script>', html, re.DOTALL)[1])


@pytest.fixture(scope="module")
def made():
    return explorer(SineFit, controls=["lr", "act"], title='Sines & "cosines" <b>', predict="What </script> will happen?",
                    alt="A curve that becomes a sine.")


@pytest.fixture(scope="module")
def html(made):
    return static_html(made)


def test_the_still_stands_for_the_figure(html):
    assert 'alt="A curve that becomes a sine."' in html
    assert "lr = 0.01" in html and "seed 0" in html and "<noscript>" in html
    assert "Sines &amp; &quot;cosines&quot; &lt;b&gt;" in html
    assert html.count("</script>") == 1      # the reader's texts cannot end it


def test_a_chapter_does_not_wait_for_programs(html, made):
    assert list(spec_in(html)) == ["deferred"]
    whole = spec_in(embed.fill(html))
    assert whole["engines"] == ["page"] and len(whole["page"]["programs"]) == 2
    assert whole == json.loads(json.dumps(embed.spec_of(made)))
    assert embed.fill(embed.fill(html)) == embed.fill(html)


def test_a_page_without_deferred_figures_is_left_alone():
    page = '<p>deferred</p><script type="application/json" class="ndl-spec">{"engines":[]}</script>'
    assert embed.fill(page) == page


def test_settings_travel_to_the_build():
    made = explorer(NoisyGrowth, controls=["growth"], growth=0.25, rows=6, seed=5, steps=9, autoplay=False, after="so")
    whole = spec_in(embed.fill(static_html(made)))
    knobs = {k["name"]: k["default"] for k in whole["knobs"]}
    assert knobs == {"growth": 0.25, "rows": 6, "noise": 0.1} and whole["seed"] == 5 and whole["after"] == "so"
    assert whole["page"]["programs"][0]["plan"]["steps"] == whole["plan"]["steps"] == 9 and not whole["autoplay"]


def test_alone_it_carries_everything(made):
    html = static_html(made, shared=False)
    assert "page" in spec_in(html) and joined.page_script() in html and "<style>" in html
    assert not re.search(r"""(?:src|href)=["']?(?:https?:|//)""", html)


def test_the_picture_is_small_and_the_same():
    canvas = Image.new("RGB", (300, 200), "white")
    for i in range(300):
        canvas.putpixel((i, i // 2), (200, 80, 0))
    out = io.BytesIO()
    canvas.save(out, format="png")
    small = embed.shrink(out.getvalue())
    with Image.open(io.BytesIO(small)) as back:
        assert back.convert("RGB").tobytes() == canvas.tobytes() and len(small) <= out.tell()


@pytest.mark.parametrize("text", [joined.page_script(), joined.page_style(), joined.worker_source()])
def test_shared_files_ask_for_no_address_and_are_classic_scripts(text):
    text = text.replace("http://www.w3.org/2000/svg", "")      # the name of a namespace; nobody asks there
    assert "://" not in text and "fetch(" not in text and "importScripts" not in text
    assert not re.search(r"(?m)^(?:import|export)\b", text)


def test_the_page_script_can_stand_inside_a_script_element():
    assert "</script" not in joined.page_script()
