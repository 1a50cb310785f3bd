"""``explore``: an experiment as a live figure in a notebook, a page widget in the book, a still anywhere
else."""

from __future__ import annotations

import base64
import os
import threading
import time

import anywidget
import traitlets

from nde_lab.experiment import Frame
from nde_lab.explore import bundle
from nde_lab.explore.kernel import PYTHON, KernelEngine, frame_message
from nde_lab.explore.spec import Explorer, Still, explorer, png

NATIVE_AFTER = 2.0  # seconds in torch after which a still that nobody waits for is computed by a native program
STILL_SECONDS = 0.25  # how long a live widget trains for the picture that it leaves in the saved notebook


def explore(
    experiment,
    *,
    controls=None,
    predict="",
    after="",
    seed=0,
    alt=None,
    title=None,
    steps=None,
    autoplay=True,
    **knob_values,
):
    """Show an experiment with controls that re-run it.

    experiment: a registered experiment (class or instance). controls: names of the knobs shown (default: all;
    at most four are advised). predict: the question to answer before touching anything; after: what should
    have been seen, folded away at first; both take ``*emphasis*`` and `` `code` ``. seed: of the first run.
    alt: text that stands for the figure (default: the view's own). steps: length of a run (default: the
    plan's). autoplay: run as soon as it is seen; otherwise wait at step 0. knob_values: first settings of
    knobs, shown or not.

    In a notebook this returns a widget (``ExplorerWidget``); with ``NDE_LAB_STATIC=1`` (the book) an object
    whose HTML trains in the page; without widgets a still of the whole default run.

    Raises ValueError for an unknown knob, a value out of range, or a bad seed, in a sentence that says what
    is allowed.
    """
    made = explorer(
        experiment,
        controls=controls,
        predict=predict,
        after=after,
        seed=seed,
        alt=alt,
        title=title,
        steps=steps,
        autoplay=autoplay,
        **knob_values,
    )
    if os.environ.get("NDE_LAB_STATIC") == "1":
        return StaticExplorer(made)
    if not _has_kernel():
        return Still(made, _last_frame(made))
    return ExplorerWidget(made)


def _has_kernel() -> bool:
    """Is this process a Jupyter kernel (a terminal's IPython is none)?"""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _last_frame(made: Explorer, *, seconds: float = float("inf")) -> Frame:
    """The last frame of the default run, or the one reached after ``seconds``.

    A long run is begun again as a native program, where it can be one: the same run up to rounding, sooner.
    """
    run, begun = made.run(), time.monotonic()
    patient = seconds == float("inf")
    while run.status.kind == "running" and time.monotonic() < begun + seconds:
        run.advance()
        if patient and time.monotonic() > begun + NATIVE_AFTER and run.t < made.steps / 2:
            patient = False
            try:
                faster = made.run(engine="native")
                while faster.status.kind == "running":
                    faster.advance()
            except ValueError:  # it cannot be compiled, or does not agree with torch: go on as before
                continue
            run = faster
    if run.status.kind == "running":
        run.stop()
    return run.frame()


class StaticExplorer(Still):
    """The explorable of a rendered page: the HTML that trains there, and a still for print."""

    def __init__(self, made: Explorer):
        super().__init__(made, _last_frame(made))

    def _repr_html_(self) -> str:
        from nde_lab.explore.page import static_html

        # The page's still has a caption with the settings.
        return static_html(self.explorer, still=png(self.explorer.view(), self.frame))

    def _repr_mimebundle_(self, include=None, exclude=None):
        data, metadata = super()._repr_mimebundle_()
        return {"text/html": self._repr_html_(), **data}, metadata


class ExplorerWidget(anywidget.AnyWidget):
    """A live figure. ``frame`` is what it shows, ``knobs`` its settings, ``error`` the traceback of a failed
    run.

    Own controls work beside it: ``ipywidgets.interactive_output(widget.set, {"lr": my_slider})``.
    """

    _esm = bundle.esm()
    _css = bundle.css()
    spec = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    # The picture that is there before the kernel can answer: after Run All the messages of the front end wait until
    # the last cell has run, but what a cell sends out arrives at once. {} or a frame with its buffers.
    first = traitlets.Dict().tag(sync=True)

    def __init__(self, made: Explorer, **kwargs):
        self._engine = KernelEngine(made, self._send_frame)
        self._sending = threading.Lock()
        super().__init__(
            spec=made.to_dict(), values={"knobs": dict(made.values), "seed": made.seed}, **kwargs
        )
        self.on_msg(lambda _, message, __: self._engine.receive(message))
        if hasattr(self.comm, "on_close"):
            self.comm.on_close(lambda _: self._engine.stop())
        self._engine.warm_up()

    def _send_frame(self, message: dict, buffers: list[bytes]) -> None:
        with self._sending:  # frames leave in the order in which they were made
            if self.comm is not None:
                self.send(message, buffers=buffers)
                self._answer_beside_cells()

    def _answer_beside_cells(self) -> None:
        """Let the front end's messages be taken up while a cell runs.

        JupyterLab sends them to a subshell, a thread of the kernel that is free then. ipykernel 7.4 sends them back to
        the shell that last wrote to this comm, and that is the main one, busy with cells (after Run All, with all of
        them). Forgetting who wrote leaves the choice to JupyterLab. Where the attribute does not exist nothing is lost.
        """
        vars(self.comm).pop("_reply_subshell_id", None)

    @property
    def explorer(self) -> Explorer:
        """What is explored, and its first settings."""
        return self._engine.explorer

    @property
    def frame(self) -> Frame | None:
        """The newest frame; None before the first."""
        return self._engine.frame

    @property
    def knobs(self) -> dict:
        """All knob values now."""
        return dict(self._engine.knobs)

    @property
    def error(self) -> str:
        """The traceback of the last failed run, or an empty string."""
        return self._engine.error

    def set(self, *, seed: int | None = None, **knobs) -> None:
        """Move knobs from Python. Live ones move in the run that is going; fixed ones, or a seed, start a new
        run.

        Raises ValueError for an unknown knob or a value out of range.
        """
        engine, experiment = self._engine, self.explorer.experiment
        made = explorer(
            experiment, seed=engine.seed if seed is None else seed, values={**engine.knobs, **knobs}
        )
        new = {n: v for n, v in made.values.items() if v != engine.knobs[n]}
        going = engine.frame is not None and engine.frame.status.kind == "running"
        moves = {n for n, k in type(experiment).live.items() if not k.restarts}
        if seed is None and going and set(new) <= moves:
            engine.set_live(new)
        elif new or seed is not None or not going:
            engine.start(made.values, made.seed, view=PYTHON)
        self.values = {"knobs": dict(made.values), "seed": made.seed}
        self._send_frame({"t": "knobs", "knobs": dict(made.values), "seed": made.seed}, [])

    def pause(self) -> None:
        """Hold the run."""
        self._engine.pause()

    def resume(self) -> None:
        """Go on with a held run."""
        self._engine.resume()

    def figure(self):
        """The frame that is shown, as a plotly figure."""
        from nde_lab.explore.figures import figure

        return figure(self.explorer.view(), self._shown())

    def still(self):
        """The frame that is shown, as a matplotlib figure."""
        from nde_lab.views import still

        return still(self.explorer.view(), self._shown())

    def _shown(self) -> Frame:
        return self.frame or _last_frame(self.explorer, seconds=STILL_SECONDS)

    def close(self) -> None:
        """End the run, its thread, and the widget."""
        self._engine.stop(wait=2.0)
        super().close()

    def _repr_mimebundle_(self, **kwargs):
        made = super()._repr_mimebundle_(**kwargs)
        data, metadata = made if isinstance(made, tuple) else (made, {})
        if data:
            data = {**data, "text/plain": repr(self)}
            try:
                frame = _last_frame(self.explorer, seconds=STILL_SECONDS)
                content, buffers = frame_message(frame, self.explorer.steps)
                self.first = {**content, "buffers": buffers}
                if self.comm is not None:
                    self._answer_beside_cells()
                image = png(self.explorer.view(), frame, note=self.explorer.caption())
            except Exception:  # noqa: BLE001 - a failing run must not take away the widget that says so
                return data, metadata
            data["image/png"] = base64.b64encode(image).decode("ascii")
            metadata = {**metadata, "image/png": {"alt": self.explorer.alt}}
        return data, metadata

    def __repr__(self) -> str:
        return (
            f"{self.explorer.title or self.explorer.name}: {self.explorer.alt} ({self.explorer.settings()})"
        )
