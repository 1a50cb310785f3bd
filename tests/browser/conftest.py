"""A headless Chromium and a running Jupyter server for tests that look at what a reader sees."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Nothing but the page itself: no updates, no background requests.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str:
    """The browser of the operating system (Debian: ``apt-get install chromium``)."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise RuntimeError(
        "the browser tests need Chromium: `apt-get install chromium`, or deselect them with "
        "`-m 'not browser'`"
    )


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for the session."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield made
        made.close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Jupyter:
    """A Jupyter server over ``folder`` with settings of its own; ``url(path)`` carries the token."""

    def __init__(self, folder: Path, home: Path):
        self.folder, self.port, self.token = folder, free_port(), secrets.token_hex(8)
        env = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            "OMP_NUM_THREADS": "1",
        }
        env.pop("NDE_LAB_STATIC", None)
        settings = home / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        # No question about news, no look for updates.
        (settings / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False})
        )
        self.output = (home / "server.txt").open("w")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                f"--port={self.port}",
                "--ip=127.0.0.1",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={self.token}",
                f"--ServerApp.root_dir={folder}",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                "--LabApp.news_url=",
            ],
            env=env,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        self._wait(home)

    def _wait(self, home: Path, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(self.url("api"), timeout=2):
                    return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.3)
        self.close()
        raise RuntimeError("JupyterLab did not start: " + (home / "server.txt").read_text()[-2000:])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def connected(self, notebook: str) -> bool:
        """Is there a kernel for this notebook that a front end is connected to, and that waits for work?"""
        try:
            with urllib.request.urlopen(self.url("api/sessions"), timeout=5) as answer:
                sessions = json.load(answer)
        except OSError:  # a busy server has not answered yet
            return False
        return any(
            s["name"] == notebook
            and s["kernel"]["connections"]
            and s["kernel"]["execution_state"] == "idle"
            for s in sessions
        )

    def end_kernels(self) -> None:
        """End all kernels: one that nobody looks at any more still holds its memory, and may compile in the background."""
        with urllib.request.urlopen(self.url("api/sessions"), timeout=30) as answer:
            sessions = json.load(answer)
        for s in sessions:
            urllib.request.urlopen(
                urllib.request.Request(self.url(f"api/sessions/{s['id']}"), method="DELETE"), timeout=30
            ).close()

    def close(self) -> None:
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.output.close()


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """A running JupyterLab (which serves Notebook 7 too) over an empty folder."""
    server = Jupyter(tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home"))
    yield server
    server.close()


# An engine that writes down what it is asked, and answers only when the test says so.
ENGINE = """
const calls = [], engines = {};
function fake(name) {
  return () => engines[name] = {
    name, sentence: () => "spoken by " + name, onframe: null, onfail: null, onadopt: null,
    start(o) { calls.push(["start", o]); }, set(o) { calls.push(["set", o]); },
    pause() { calls.push(["pause"]); },
    resume() { calls.push(["resume"]); }, stepOnce() { calls.push(["step"]); }, stop() { calls.push(["stop", name]); },
    ack(n) { calls.push(["ack", n]); },
  };
}
const refuses = () => { throw new Error("this one cannot work here"); };
function answer(gen, step, o = {}) {
  const n = 24, x = Float32Array.from({ length: n }, (_, i) => i / n);
  engines[o.engine ?? "one"].onframe({ gen, step, steps: 100, seed: 0, n: step,
    knobs: { width: 8, act: "tanh", lr: 0.01, ...o.knobs },
    status: { kind: o.kind ?? "running", sentence: o.sentence ?? `running: step ${step} of 100` },
    history: { step: Float32Array.of(1, 2), loss: Float32Array.of(1, 0.5) },
    arrays: { x: { shape: [n], data: x }, y: { shape: [n], data: x.map((v) => Math.sin(6 * v + step)) } } });
}
const last = (kind) => calls.filter(([k]) => k === kind).at(-1)?.[1];
"""


@pytest.fixture
def page(browser, tmp_path):
    """A function that opens a page with the widget; ``engines`` are expressions, the first one preferred."""
    from nde_lab.explore import bundle
    from nde_lab.explore.spec import explorer
    from tests.toys import SineFit

    opened = []

    def open_(
        *,
        engines="fake('one')",
        style="background: #fff",
        fragment="",
        link=True,
        answers=True,
        context=None,
        experiment=SineFit,
        **spec,
    ):
        made = explorer(
            experiment,
            steps=100,
            width=8,
            **{"predict": "Will it *fit*?", "after": "Yes.", "title": "T", **spec},
        )
        file = tmp_path / "widget.html"
        file.write_text(
            f"<!doctype html><html><body style='{style}'><style>{bundle.css()}</style><div id=place></div>"
            f"<script>{bundle.script()}</script><script>{ENGINE}\nconst widget = ndl.mount(place, "
            f"{json.dumps(made.to_dict(engines=['page']))}, [{engines}], {{ link: {json.dumps(link)} }});</script>"
        )
        opened.append(browser.new_context(**(context or {})))
        shown = opened[-1].new_page()
        shown.troubles = []
        shown.on("console", lambda m: shown.troubles.append(m.text) if m.type == "error" else None)
        shown.on("pageerror", lambda e: shown.troubles.append(str(e)))
        shown.goto(file.as_uri() + fragment)
        if answers:
            shown.wait_for_function("() => last('start')")
            shown.evaluate("answer(last('start').gen, 0)")
            shown.wait_for_selector(".ndl-root[data-painted]")
        return shown

    yield open_
    for context in opened:
        for shown in context.pages:
            assert shown.troubles == []
        context.close()
