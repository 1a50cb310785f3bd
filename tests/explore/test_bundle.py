"""The joined front end: valid as a module and as a classic script, asking for nothing outside, and its
behaviour in node."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nde_lab.explore import bundle
from nde_lab.explore.figures import figure  # noqa: F401 - the two drawers must know the same marks
from nde_lab.views import Mark

HERE = Path(__file__).parent


def node(*arguments, **kwargs):
    assert shutil.which("node"), "the tests of the front end need node: `apt-get install nodejs`"
    return subprocess.run(["node", *arguments], capture_output=True, text=True, check=False, **kwargs)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    path = tmp_path_factory.mktemp("front") / "front.mjs"
    path.write_text(bundle.esm(), encoding="utf-8")
    return path


def test_every_file_of_the_front_end_is_in_the_bundle():
    files = {p.name for p in bundle.FRONT.glob("*.js")}
    assert files == {*bundle.ORDER, "kernel.js", "anywidget.js"}


def test_module_and_script_parse(module, tmp_path):
    script = tmp_path / "front.js"
    script.write_text(bundle.script(), encoding="utf-8")
    for path in (module, script):
        done = node("--check", str(path))
        assert done.returncode == 0, done.stderr


def test_nothing_outside_is_asked_for():
    for text in (bundle.esm(), bundle.script(), bundle.css()):
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses
        assert not re.search(r"\bimport\b[^;\n]*\bfrom\b|\bimport\(|@import|\burl\(", text)


def test_the_script_may_stand_inside_a_page():
    assert "</script" not in bundle.script().lower()
    assert not re.search(r"(?m)^\s*export\b", bundle.script())


def test_every_mark_has_a_drawing(module):
    kinds = sorted(c.__name__.lower() for c in Mark.__subclasses__())
    source = (bundle.FRONT / "marks.js").read_text()
    drawn = sorted(re.findall(r"(?m)^  (\w+)\(ctx", source))
    assert drawn == kinds


def test_behaviour_in_node(module):
    done = node(
        "--test",
        str(HERE / "front.test.mjs"),
        env={"FRONT": module.as_uri(), "PATH": "/usr/bin:/bin:/usr/local/bin"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_positions_of_sliders_stay_inside_what_python_allows(module):
    """Every value that a slider can take is accepted by the knob it came from."""
    from nde_lab.knobs import Knob

    knobs = {
        "a": Knob(0.1, 0.0, 2.0),
        "b": Knob(1e-2, 1e-5, 1e3, scale="log"),
        "c": Knob(8, 2, 1024, scale="log"),
        "d": Knob(3, 0, 12),
        "e": Knob(0.3, 0.05, 0.37),
        "f": Knob(-1.0, -7.3, 1.9),
        "g": Knob(1000, 0, 50_000),
    }
    sent = {
        n: {"low": k.low, "high": k.high, "scale": k.scale, "integer": isinstance(k.default, int)}
        for n, k in knobs.items()
    }
    code = (
        f"import({json.dumps(module.as_uri())}).then((m) => {{ const out = {{}}; const knobs = {json.dumps(sent)};"
        "for (const n in knobs) { const p = m.positions(knobs[n]); out[n] = Array.from({length: p.n + 1}, (_, i) => p.at(i)); }"
        "console.log(JSON.stringify(out)); })"
    )
    done = node("-e", code)
    assert done.returncode == 0, done.stderr
    for name, values in json.loads(done.stdout).items():
        checked = [knobs[name].check(name, v) for v in values]
        assert checked == sorted(checked)
        assert (checked[0], checked[-1]) == (knobs[name].low, knobs[name].high)
