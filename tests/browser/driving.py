"""Both browser suites drive widgets with this: move a control to its ends, and tell whether the picture answers.

A picture that changes proves little while a run goes on, for training changes it too, and axes remember what they have
shown. So of every painted frame a thumbnail and the numbers are kept under the number of its run and its step, and two
runs are compared **at the same step**: a control that changes nothing gives equal numbers however long one waits.
"""
from __future__ import annotations

import time

CLEAR = 12          # cells of the thumbnail (of 96 x 64) that must differ for a reader to see it ...
LEVELS = 16         # ... by so many of 255 levels of a colour
APART = 1e-3        # of an array's largest number: more than two roundings of one run differ by

# Put on the widget's root: `ndlSeen` = {run: {at: {step: {picture, numbers, view}}, newest, history}}.
RECORD = """root => {
  if (root.ndlSeen) return;
  const canvas = root.querySelector('canvas'), seen = root.ndlSeen = {}, W = 96, H = 64;
  const ctx = new OffscreenCanvas(W, H).getContext('2d', { willReadFrequently: true });
  ctx.imageSmoothingQuality = 'high';
  const keep = () => {
    const frame = root.parentElement.ndlWidget?.frame;
    if (!canvas.width || !frame) return;
    ctx.fillStyle = '#fff';
    ctx.fillRect(0, 0, W, H);
    ctx.drawImage(canvas, 0, 0, W, H);
    const run = (seen[root.dataset.shown] ??= { at: {} });
    run.history = frame.history;
    run.newest = run.at[root.dataset.step] = { picture: ctx.getImageData(0, 0, W, H).data,
      numbers: Object.fromEntries(Object.entries(frame.arrays).map(([name, a]) => [name, a.data])),
      view: JSON.stringify(frame.view ?? null) };
  };
  if (root.dataset.painted) keep();
  new MutationObserver(keep).observe(root, { attributes: true, attributeFilter: ['data-painted'] });
}"""
# In how many cells the pictures of two runs differ at a step that both have shown, at most: 0 where their numbers
# are the same there, -1 if there is no such step. Long runs may have shown no step in common; then their histories are
# compared as far as both go, and their newest pictures.
DIFFER = f"""(root, [a, b]) => {{
  const one = root.ndlSeen[a], two = root.ndlSeen[b], known = (root.ndlKnown ??= {{}});
  if (!one || !two) return -1;
  const unlike = (x, y, n) => {{
    let most = 0;
    for (let i = 0; i < n; i++) most = Math.max(most, Math.abs(x[i]) || 0, Math.abs(y[i]) || 0);
    for (let i = 0; i < n; i++) {{
      if (Math.abs(x[i] - y[i]) > {APART} * most || Number.isNaN(x[i]) !== Number.isNaN(y[i])) return true;
    }}
    return false;
  }};
  const cells = (p, q) => {{
    let n = 0;
    for (let i = 0; i < p.length; i += 4) {{
      if (Math.max(Math.abs(p[i] - q[i]), Math.abs(p[i + 1] - q[i + 1]), Math.abs(p[i + 2] - q[i + 2])) > {LEVELS}) n++;
    }}
    return n;
  }};
  const apart = (p, q) => p.view !== q.view || Object.keys(p.numbers).some((name) => {{
    const x = p.numbers[name], y = q.numbers[name];
    return x.length !== y?.length || unlike(x, y, x.length);
  }});
  let most = -1;
  for (const step in one.at) if (two.at[step]) {{
    const [p, q] = [one.at[step], two.at[step]];
    most = Math.max(most, known[[a, b, step]] ??= apart(p, q) ? cells(p.picture, q.picture) : 0);
  }}
  if (most > 0) return most;
  const differs = Object.keys(one.history).some((name) => two.history[name] &&
    unlike(one.history[name], two.history[name], Math.min(one.history[name].length, two.history[name].length)));
  return differs ? cells(one.newest.picture, two.newest.picture) : most;
}}"""
OVER = ("finished", "diverged", "failed")


class Control:
    """One control of a widget: a slider, a group of choices, a list, or a switch."""

    def __init__(self, node):
        self.node = node
        self.knob = node.get_attribute("data-knob")
        self.kind = node.evaluate("c => c.tagName === 'SELECT' ? 'select' : c.type")
        self.live = "moves while it runs" in node.evaluate("c => c.title || c.closest('fieldset')?.title || ''")
        self.first = self.value()

    def value(self) -> str:
        return self.node.evaluate(
            "c => c.type === 'range' ? c.getAttribute('aria-valuetext') : c.type === 'radio' ? "
            "[...c.closest('fieldset').querySelectorAll('input')].findIndex(r => r.checked).toString() : "
            "c.type === 'checkbox' ? String(c.checked) : c.value")

    def places(self) -> list:
        """Where it can be put: both ends of a slider, each choice that is offered, on and off."""
        if self.kind == "range":
            return ["Home", "End"]
        if self.kind == "checkbox":
            return ["true", "false"]
        return self.node.evaluate("c => [...(c.tagName === 'SELECT' ? c.options : c.closest('fieldset')"
                                  ".querySelectorAll('input'))].filter(o => !o.disabled).map(o => o.value)")

    def put(self, place: str) -> bool:
        """By keyboard, as a reader without a mouse does it. False where it is there already."""
        before = self.value()
        if self.kind == "range":
            self.node.focus()
            self.node.press(place)
        elif self.kind == "select":
            self.node.select_option(place)
        elif before != place:
            chosen = self.node if self.kind == "checkbox" else self.node.evaluate_handle(
                "(c, i) => c.closest('fieldset').querySelectorAll('input')[i]", int(place)).as_element()
            chosen.press("Space")
        return self.value() != before


class Widget:
    """A painted widget of a page, by the element handle of its root."""

    def __init__(self, page, root):
        self.page, self.root = page, root
        root.evaluate(RECORD)

    def look(self) -> dict:
        return self.root.evaluate("r => ({ gen: r.dataset.gen, shown: r.dataset.shown, step: Number(r.dataset.step), "
                                  "phase: r.dataset.phase, painted: Number(r.dataset.painted) })")

    def until(self, true, seconds: float, what: str) -> dict:
        """Wait for ``true(look)``; returns the look, or fails saying what was waited for."""
        end = time.monotonic() + seconds
        while not true(look := self.look()):
            assert time.monotonic() < end, f"{self}: waited {seconds:g} s for {what}; it shows {look}"
            self.page.wait_for_timeout(25)
        return look

    def __str__(self) -> str:
        return self.root.evaluate("r => `${r.dataset.name} "
                                  "[${r.querySelector('.ndl-status').textContent}]`")

    def controls(self) -> list[Control]:
        """Each control once (of a group of choices its first button stands for all)."""
        found = self.root.query_selector_all("[data-knob]")
        made, known = [], set()
        for node in found:
            control = Control(node)
            if control.knob not in known:
                known.add(control.knob)
                made.append(control)
        return made

    def shown(self, seconds: float = 20) -> str:
        """The number of the run that is asked for, once its first picture is there."""
        return self.until(lambda s: s["shown"] == s["gen"], seconds, "a picture of the new setting")["gen"]

    def put(self, control: Control, place: str) -> str:
        """Put a control somewhere; the number of the run that shows it from step 0."""
        moved = control.put(place)
        if moved and control.live:          # it moves inside the run: begin that one again, to have one to compare
            self.again()
        return self.shown()

    def again(self) -> None:
        """The same settings and seed from step 0: the seed goes away and comes back."""
        seed = self.root.query_selector(".ndl-seed")
        value = seed.input_value()
        for v in (str(int(value) + 1), value):
            seed.fill(v)
            seed.press("Enter")

    def answers(self, control: Control, places: list[str] | None = None, *, seconds: float = 20) -> dict:
        """Put a control to its places, each of which must give another picture than the one before at the same step;
        then put it back. Returns in how many cells they differ."""
        first, found = control.node.input_value(), {}
        base, *others = places or control.places()
        run = self.put(control, base)
        for place in others:
            other = self.put(control, place)
            same = f"{self}: {control.knob} gives the same picture at {base} and at {place}"
            assert run != other, f"{same}: it did not move"
            if not self._apart(run, other, 1.0):
                # Not at the steps that both have shown so far. All of both runs have the last word.
                run, other = self._whole(control, base, seconds), self._whole(control, place, seconds)
            found[place] = self.cells(run, other)
            assert found[place] >= CLEAR, f"{same} ({found[place]} of 6144 cells differ)"
            base, run = place, other
        self.back(control, first)
        return found

    def back(self, control: Control, value: str) -> None:
        """Put a control where it was; ``value`` is its input's."""
        if control.kind == "range":
            control.node.fill(value)
        else:
            control.put(value if control.kind == "select" else control.first)
        if control.live:
            self.again()
        self.shown()

    def rest(self) -> None:
        """Hold a run that goes on, so that the next widget has the machine to itself."""
        if self.look()["phase"] == "running":
            self.root.query_selector(".ndl-main").press("Enter")

    def cells(self, a: str, b: str) -> int:
        return self.root.evaluate(DIFFER, [a, b])

    def _apart(self, a: str, b: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while (cells := self.cells(a, b)) < CLEAR:
            if time.monotonic() > end or (self.look()["phase"] in OVER and cells >= 0):
                return False
            self.page.wait_for_timeout(40)
        return True

    def _whole(self, control, place, seconds):
        run = self.put(control, place)
        end = time.monotonic() + seconds
        while self.look()["phase"] not in OVER and time.monotonic() < end:
            self.page.wait_for_timeout(40)
        return run
