"""The kernel engine behind a comm that only remembers: cancelling, back-pressure, errors, threads."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from nde_lab.experiment import Draws, Knob, Plan, Run, experiment, knob, last, run
from nde_lab.explore.kernel import KernelEngine
from nde_lab.explore.spec import explorer
from nde_lab.views import Axis, Line, Panel, View
from tests.toys import SineFit


@experiment(paper="toy")
@dataclass(frozen=True)
class Counter:
    """Counts by ``by`` and can be told to fail at a step; each step takes about a millisecond."""

    fail_at: int = knob(10_000, low=1, high=10_000)
    live = {"by": Knob(1.0, low=-5.0, high=5.0)}
    plan = Plan(steps=10_000, every=2)

    def data(self):
        return {"grid": torch.arange(4.0)}

    def draws(self):
        return Draws()

    def init(self, data, start, live):
        return {"x": torch.zeros(()), "n": torch.zeros(())}

    def step(self, data, state, noise, live):
        time.sleep(0.001)
        if int(state["n"]) + 1 >= self.fail_at:
            raise RuntimeError("the counter was told to fail")
        return {"x": state["x"] + live["by"], "n": state["n"] + 1}, {
            "x": state["x"],
            "ok": torch.tensor(True),
        }

    def observe(self, data, state, noise, live):
        return {"grid": data["grid"], "level": state["x"] + 0 * data["grid"]}

    def view(self):
        return View(
            [Panel("level", Axis("x"), Axis("level"), [Line("grid", "level")], alt="A flat line that rises.")]
        )


class Listener:
    """The other end of the comm: keeps every message, and acknowledges frames if it is told to."""

    def __init__(self, made, *, answers=True, **options):
        self.messages, self.answers = [], answers
        self.engine = KernelEngine(made, self.hear, **options)

    def hear(self, message, buffers):
        self.messages.append((time.monotonic(), message, buffers))
        if self.answers and message["t"] == "frame":
            self.engine.receive({"t": "ack", "n": message["n"], "run": message["run"]})

    def start(self, gen=1, view="a", seed=0, paused=False, **knobs):
        self.engine.receive(
            {"t": "start", "view": view, "gen": gen, "knobs": knobs, "seed": seed, "paused": paused}
        )

    def of(self, kind="frame", gen=None):
        return [m for _, m, _ in list(self.messages) if m["t"] == kind and gen in (None, m["gen"])]

    def wait(self, what, seconds=10.0):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (
                f"waited {seconds} s; heard {[m for _, m, _ in self.messages][-3:]}"
            )
            time.sleep(0.002)


@pytest.fixture
def listen():
    made = []

    def make(*args, **kwargs):
        made.append(Listener(*args, **kwargs))
        return made[-1]

    yield make
    for listener in made:
        listener.engine.stop(wait=5)
    left = [t.name for t in threading.enumerate() if t.name.startswith("nde-lab-")]
    assert not left, f"threads were left behind: {left}"


def test_frames_are_those_of_a_plain_run(listen):
    ear = listen(explorer(SineFit))
    ear.start(width=8, seed=3)
    ear.wait(lambda: ear.of() and ear.of()[-1]["status"]["kind"] == "finished")
    expected = last(run(SineFit, {"width": 8}, seed=3))
    message, buffers = ear.messages[-1][1:]
    history = {n: [] for n in message["history"]["names"]}
    for _, m, b in ear.messages:
        for name, part in zip(m["history"]["names"], b, strict=False):
            history[name] += list(np.frombuffer(part, "<f4"))
    for name, values in expected.history.items():
        np.testing.assert_array_equal(np.asarray(history[name]), values.astype(np.float32))
    for spec, part in zip(message["arrays"], buffers[len(history) :], strict=True):
        np.testing.assert_array_equal(
            np.frombuffer(part, "<f4").reshape(spec["shape"]),
            expected.arrays[spec["name"]].astype(np.float32),
        )
    assert (message["step"], message["steps"], message["seed"]) == (expected.step, 20, 3)
    assert message["knobs"] == expected.knobs == ear.engine.frame.knobs


def test_a_new_run_cancels_the_old_one_and_answers_at_once(listen):
    ear = listen(explorer(Counter))
    ear.engine.warm_up()
    took = []
    for gen in range(1, 21):
        asked = time.monotonic()
        ear.start(gen=gen)
        ear.wait(lambda gen=gen: ear.of(gen=gen))
        took.append(next(t for t, m, _ in ear.messages if m["gen"] == gen) - asked)
        assert ear.of(gen=gen)[0]["step"] == 0
    print(f"start to first frame, ms: median {1e3 * np.median(took):.1f}, first {1e3 * took[0]:.1f}")
    gens = [m["gen"] for m in ear.of()]
    assert gens == sorted(gens), "a frame of a cancelled run came late"


def test_only_the_newest_of_many_requests_is_run(listen):
    ear = listen(explorer(Counter))
    for gen in range(1, 51):
        ear.start(gen=gen)
    ear.wait(lambda: ear.of(gen=50))
    time.sleep(0.1)
    assert ear.of()[-1]["gen"] == 50
    assert len({m["gen"] for m in ear.of()}) < 20


def test_back_pressure_holds_frames_back_but_not_the_run_and_never_the_last_one(listen):
    ear = listen(explorer(Counter, steps=120), answers=False, fps=1000, ahead=4)
    ear.start()
    ear.wait(lambda: ear.of() and ear.of()[-1]["status"]["kind"] == "finished")
    assert len(ear.of()) == 4 + 1
    assert ear.of()[-1]["step"] == 120


def test_an_acknowledgement_lets_more_frames_out(listen):
    ear = listen(explorer(Counter), answers=False, fps=1000, ahead=4)
    ear.start()
    ear.wait(lambda: len(ear.of()) == 4)
    time.sleep(0.05)
    assert len(ear.of()) == 4
    ear.engine.receive({"t": "ack", "n": 3, "run": ear.of()[0]["run"]})
    ear.wait(lambda: len(ear.of()) == 7)
    ear.engine.receive({"t": "ack", "n": 7, "run": 999})  # of a run that is no more
    time.sleep(0.05)
    assert len(ear.of()) == 7


def test_frame_rate_is_capped(listen):
    ear = listen(explorer(Counter), fps=20)
    ear.start()
    ear.wait(lambda: len(ear.of()) >= 6)
    times = [t for t, m, _ in ear.messages if m["t"] == "frame"]
    assert (times[5] - times[0]) / 5 >= 0.9 / 20


def test_pause_step_resume(listen):
    ear = listen(explorer(Counter))
    ear.start(paused=True)
    ear.wait(lambda: ear.of())
    time.sleep(0.05)
    assert [m["step"] for m in ear.of()] == [0]
    ear.engine.receive({"t": "step"})
    ear.wait(lambda: len(ear.of()) == 2)
    time.sleep(0.05)
    assert [m["step"] for m in ear.of()] == [0, 2], "one recorded point on, then still"
    ear.engine.receive({"t": "resume"})
    ear.wait(lambda: ear.of()[-1]["step"] > 2)
    ear.engine.receive({"t": "pause"})
    time.sleep(0.1)
    held = ear.engine.frame.step
    time.sleep(0.1)
    assert ear.engine.frame.step == held


def test_live_knobs_move_inside_the_run(listen):
    ear = listen(explorer(Counter))
    ear.start(by=1.0)
    ear.wait(lambda: len(ear.of()) > 2)
    ear.engine.receive({"t": "set", "live": {"by": -2.0}})
    ear.wait(lambda: ear.engine.frame.knobs["by"] == -2.0)
    before = ear.engine.frame
    ear.wait(lambda: ear.engine.frame.step > before.step)
    after = ear.engine.frame
    slope = (after.arrays["level"][0] - before.arrays["level"][0]) / (after.step - before.step)
    assert slope == pytest.approx(-2.0)
    assert {m["run"] for m in ear.of()} == {1}, "no restart"


def test_a_live_knob_moved_while_paused_shows_its_picture(listen):
    ear = listen(explorer(Counter))
    ear.start(paused=True)
    ear.wait(lambda: ear.of())
    ear.engine.receive({"t": "set", "live": {"by": 3.0}})
    ear.wait(lambda: len(ear.of()) == 2)
    assert ear.of()[-1]["knobs"]["by"] == 3.0 and ear.of()[-1]["step"] == 0


def test_a_live_knob_moved_before_the_run_began_is_not_lost(listen):
    ear = listen(explorer(Counter))
    ear.start(paused=True)
    ear.engine.receive({"t": "set", "live": {"by": 4.0}})
    ear.wait(lambda: ear.of() and ear.of()[-1]["knobs"]["by"] == 4.0)


def test_errors_become_sentences_and_the_engine_lives_on(listen):
    ear = listen(explorer(Counter))
    ear.start(gen=1, fail_at=5)
    ear.wait(lambda: ear.of("error"))
    assert "RuntimeError: the counter was told to fail" in ear.of("error")[0]["sentence"]
    assert "in step" in ear.engine.error and "Traceback" in ear.engine.error
    ear.start(gen=2, fail_at=99_999)
    ear.wait(lambda: ear.of("error", gen=2))
    assert ear.of("error", gen=2)[0]["sentence"] == "knob 'fail_at' is 99999; it takes 1 to 10000"
    ear.start(gen=3, fail_at=10_000)
    ear.wait(lambda: len(ear.of(gen=3)) > 1)
    assert ear.engine.error == ""


def test_history_is_sent_once_and_again_on_request(listen):
    ear = listen(explorer(Counter))
    ear.start()
    ear.wait(lambda: len(ear.of()) >= 4)
    starts = [m["history"]["from"] for m in ear.of() if m["history"]["names"]]
    assert starts == sorted(starts) and starts[-1] > 0
    heard = len(ear.messages)
    ear.engine.receive({"t": "sync"})
    ear.wait(
        lambda: any(m["history"]["names"] and m["history"]["from"] == 0 for _, m, _ in ear.messages[heard:])
    )


def test_stop_ends_the_thread_and_only_for_the_view_that_owns_the_run(listen):
    ear = listen(explorer(Counter))
    ear.start(view="a")
    ear.wait(lambda: len(ear.of()) > 1)
    thread = ear.engine._thread
    ear.engine.receive({"t": "stop", "view": "b"})
    thread.join(0.1)
    assert thread.is_alive()
    ear.engine.receive({"t": "stop", "view": "a"})
    thread.join(5)
    assert not thread.is_alive()
    heard = len(ear.messages)
    time.sleep(0.05)
    assert len(ear.messages) == heard
    ear.start(view="c", gen=7)  # a later view begins anew
    ear.wait(lambda: ear.of(gen=7))


def test_a_diverged_run_says_so_and_sends_nothing_that_is_not_finite(listen):
    from tests.toys import NoisyGrowth

    ear = listen(explorer(NoisyGrowth))
    ear.start(growth=50.0)
    ear.wait(lambda: ear.of() and ear.of()[-1]["status"]["kind"] == "diverged")
    assert "stopped being finite" in ear.of()[-1]["status"]["sentence"]
    for _, _, buffers in ear.messages:
        assert all(np.isfinite(np.frombuffer(b, "<f4")).all() for b in buffers)


def test_a_frame_that_is_dear_to_make_leaves_training_half_of_the_time(monkeypatch):
    real = Run.frame

    def slow(self):
        time.sleep(0.05)
        return real(self)
    monkeypatch.setattr(Run, "frame", slow)
    sent = []
    made = explorer(SineFit, steps=200)
    engine = KernelEngine(made, lambda message, buffers: sent.append(message), ahead=10**6)
    try:
        started = time.monotonic()
        engine.start(made.values, seed=0)
        while not sent or sent[-1].get("status", {}).get("kind") != "finished":
            assert time.monotonic() - started < 60
            time.sleep(0.01)
    finally:
        engine.stop(wait=2.0)
    # 50 ms is longer than the 33 between frames: without the pause there would be a frame after every step.
    assert 2 <= len(sent) < 100


# ---- who computes ------------------------------------------------------------------------------------------


def test_the_next_run_is_native_once_another_process_has_compiled(monkeypatch):
    """Never after a figure's first run, never while somebody waits; then the frames say who computes."""
    from nde_lab.explore import kernel
    from nde_lab.native import experiments

    monkeypatch.setattr(kernel, "IDLE", 0.05)
    monkeypatch.setattr(kernel, "WORTH_COMPILING", 0.0)
    asked = []

    def begin(experiment, examples, *, build=True, here=True):
        if build:
            asked.append((here, experiments.get(experiment, examples)))

    monkeypatch.setattr(experiments, "begin", begin)
    monkeypatch.setattr(experiments, "_ENTRIES", {})
    made = Listener(explorer(SineFit, steps=40))
    made.start(gen=1)
    made.wait(lambda: made.of(gen=1) and made.of(gen=1)[-1]["status"]["kind"] == "finished")
    time.sleep(0.3)
    assert not asked
    made.start(gen=2)
    made.wait(lambda: asked, 60)
    assert [here for here, _ in asked] == [False]
    assert {m["engine"] for m in made.of(gen=1) + made.of(gen=2)} == {"eager"}
    made.start(gen=3)
    made.wait(lambda: made.of(gen=3) and made.of(gen=3)[-1]["status"]["kind"] == "finished")
    assert made.of(gen=3)[0]["engine"] == "eager" and made.of(gen=3)[-1]["engine"] == "native"
    made.engine.stop(wait=5)


def test_compute_eager_is_torch_alone(monkeypatch):
    from nde_lab.native import driver

    monkeypatch.setattr(driver, "Driver", lambda *a: pytest.fail("asked for a native program"))
    made = Listener(explorer(SineFit, steps=10), compute="eager")
    made.start(gen=1)
    made.wait(lambda: made.of(gen=1) and made.of(gen=1)[-1]["status"]["kind"] == "finished")
    made.engine.stop(wait=5)
    assert made.of(gen=1)[-1]["engine"] == "eager" and not made.of("error")
