"""``explore``: what it returns where, the widget driven from Python, the still, own sliders beside it."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from nde_lab.experiment import last, run
from nde_lab.explore import explore
from nde_lab.explore.spec import Still, explorer
from nde_lab.explore.widget import ExplorerWidget, StaticExplorer
from tests.toys import SineFit

PNG = b"\x89PNG\r\n\x1a\n"


def wait(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def widget():
    made = ExplorerWidget(explorer(SineFit, steps=400, width=8, seed=2))
    sent = []
    made.send = lambda content, buffers=None: sent.append(content)
    made.sent = sent
    yield made
    made.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("nde-lab-")]


def test_without_widgets_a_still_of_the_default_run():
    made = explore(SineFit, width=8, seed=1, title="A sine")
    assert isinstance(made, Still)
    data, metadata = made._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(PNG) and made._repr_png_().startswith(PNG)
    assert metadata["image/png"]["alt"] == SineFit().view().alt()
    assert data["text/plain"].startswith("A sine: ") and "width = 8" in data["text/plain"]
    expected = last(run(SineFit, {"width": 8}, seed=1))
    np.testing.assert_array_equal(made.frame.arrays["y"], expected.arrays["y"])


def test_a_still_that_takes_long_is_finished_by_a_native_program(monkeypatch):
    from nde_lab.explore import widget as module

    made = explorer(SineFit, steps=300, width=8)
    eager = module._last_frame(made)
    monkeypatch.setattr(module, "NATIVE_AFTER", 0.0)
    native = module._last_frame(made)
    assert (eager.engine, native.engine) == ("eager", "native")
    assert native.step == eager.step == 300 and native.status == eager.status
    np.testing.assert_allclose(native.arrays["y"], eager.arrays["y"], atol=1e-3)
    refuse = explorer(SineFit, steps=40)
    monkeypatch.setattr(type(refuse), "run", _refusing(type(refuse).run))
    assert module._last_frame(refuse).engine == "eager", "what cannot be compiled is finished in torch"


def _refusing(run_):
    def refusing(self, *args, engine="eager", **kwargs):
        if engine != "eager":
            raise ValueError("no program for this one")
        return run_(self, *args, **kwargs)

    return refusing


def test_in_the_book_it_is_no_widget(monkeypatch):
    monkeypatch.setenv("NDE_LAB_STATIC", "1")
    made = explore(SineFit)
    assert isinstance(made, StaticExplorer) and not isinstance(made, ExplorerWidget)


def test_set_moves_live_knobs_in_the_run_and_restarts_for_fixed_ones(widget):
    widget.set(seed=5)
    wait(lambda: widget.frame is not None)
    widget.set(lr=0.02)
    assert widget.knobs["lr"] == 0.02
    widget.set(width=16)
    wait(lambda: widget.frame.knobs["width"] == 16 and widget.frame.status.kind == "finished")
    assert widget.frame.seed == 5 and widget.frame.knobs["lr"] == 0.02
    assert [m["knobs"] for m in widget.sent if m["t"] == "knobs"][-1]["width"] == 16, "the sliders are told"
    expected = last(run(SineFit, {"width": 16, "lr": 0.02}, seed=5, steps=400))
    np.testing.assert_array_equal(widget.frame.arrays["y"], expected.arrays["y"])


def test_set_begins_again_for_a_live_knob_that_is_felt_at_the_start_only(widget, monkeypatch):
    monkeypatch.setitem(SineFit.live, "lr", replace(SineFit.live["lr"], restarts=True))
    widget.set(seed=5)
    wait(lambda: widget.frame is not None and widget.frame.step > 0)
    widget.set(lr=0.02)
    wait(lambda: widget.frame.knobs["lr"] == 0.02 and widget.frame.status.kind == "finished")
    expected = last(run(SineFit, {"width": 8, "lr": 0.02}, seed=5, steps=400))
    np.testing.assert_allclose(widget.frame.arrays["y"], expected.arrays["y"], atol=1e-4)  # compiled, maybe


def test_set_refuses_what_the_knobs_refuse_and_changes_nothing(widget):
    before = widget.knobs
    with pytest.raises(ValueError, match="it takes 1e-05 to 1"):
        widget.set(lr=7.0)
    with pytest.raises(ValueError, match="no knob 'depth'"):
        widget.set(depth=2)
    assert widget.knobs == before


def test_own_ipywidgets_sliders_drive_it(widget):
    import ipywidgets

    slider = ipywidgets.FloatLogSlider(value=1e-2, min=-4, max=0)
    ipywidgets.interactive_output(widget.set, {"lr": slider})
    slider.value = 0.1
    wait(lambda: widget.frame is not None and widget.frame.knobs["lr"] == pytest.approx(0.1))


def test_pictures_of_the_frame(widget):
    widget.set(seed=1)
    wait(lambda: widget.frame is not None and widget.frame.status.kind == "finished")
    figure, still = widget.figure(), widget.still()
    curve = next(t for t in figure.data if t.name == "network")
    np.testing.assert_allclose(np.asarray(curve.y, dtype=float), widget.frame.arrays["y"], rtol=1e-6)
    np.testing.assert_allclose(still.axes[0].lines[0].get_ydata(), widget.frame.arrays["y"], rtol=1e-6)


def test_a_saved_notebook_keeps_a_picture_and_its_text(widget):
    data, metadata = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert metadata["image/png"]["alt"] == widget.explorer.alt
    assert widget.explorer.alt in data["text/plain"]


def test_showing_it_sends_a_first_picture_that_needs_no_answer_of_the_kernel(widget):
    assert widget.first == {}, "nothing is computed before it is shown"
    widget._repr_mimebundle_()
    first = widget.first
    sizes = [len(b) // 4 for b in first["buffers"]]
    points = len(first["history"]["names"])
    assert sizes[points:] == [int(np.prod(a["shape"])) for a in first["arrays"]]
    assert first["history"]["from"] == 0 and len(set(sizes[:points])) == 1
    assert first["knobs"]["width"] == 8 and first["seed"] == 2
    y = np.frombuffer(first["buffers"][points + [a["name"] for a in first["arrays"]].index("y")], "<f4")
    expected = run(SineFit, {"width": 8}, seed=2, steps=400)
    while expected.t < first["step"]:
        expected.advance()
    np.testing.assert_array_equal(y, expected.frame().arrays["y"])


def test_answers_of_the_front_end_are_not_bound_to_the_shell_that_runs_cells(widget):
    comm = widget.comm                        # ipykernel notes there that the main shell wrote last
    comm._reply_subshell_id = None
    for _ in range(2):                        # the second time there is no such note, and nothing happens
        widget._send_frame({"t": "frame"}, [])
        assert "_reply_subshell_id" not in vars(comm)
        assert widget.sent[-1] == {"t": "frame"}


def test_a_failing_experiment_still_gives_a_widget():
    from tests.explore.test_kernel import Counter

    made = ExplorerWidget(explorer(Counter, fail_at=1))
    data, _ = made._repr_mimebundle_()
    made.close()
    assert "application/vnd.jupyter.widget-view+json" in data and "image/png" not in data


def test_error_is_kept_with_its_traceback(widget):
    widget._engine.start({"width": 10**6}, 0)
    wait(lambda: widget.error)
    assert "Traceback" in widget.error and "it takes 2 to 64" in widget.error


def test_importing_the_entry_is_cheap():
    code = "import sys; import nde_lab.explore; print('torch' in sys.modules, 'anywidget' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_widgets_come_without_heavy_imports():
    code = (
        "import sys; import nde_lab.explore.widget; "
        "print([m for m in ('torch._dynamo', 'plotly', 'matplotlib.pyplot', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_first_moves_do_not_import_dynamo():
    """The 4 s of torch._dynamo must never be paid on a slider's way."""
    import subprocess
    import sys

    code = """
import sys, time
from nde_lab.explore.kernel import KernelEngine
from nde_lab.explore.spec import explorer
from tests.toys import SineFit
heard = []
engine = KernelEngine(explorer(SineFit), lambda m, b: heard.append(m))
engine.receive({"t": "start", "view": "a", "gen": 1, "knobs": {}, "seed": 0})
end = time.monotonic() + 60
while time.monotonic() < end and not (heard and heard[-1]["status"]["kind"] == "finished"):
    time.sleep(0.01)
engine.stop(wait=5)
assert heard[-1]["status"]["kind"] == "finished", heard[-1:]
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stdout + done.stderr
