// The glue between a view, its controls and an engine. One code for the live notebook and the rendered book.
//
// THE ENGINE INTERFACE. Whatever stands behind a widget (kernel, page, stored) is an object
//
//   engine = {
//     name,                        "kernel" | "page" | "stored"
//     sentence(knobs),             who speaks, in words: "live: trained now by the kernel", "live: trained now in this
//                                  page", "stored run at width = 32, lr = 0.003"
//     snap(knobs),                 optional: the nearest knobs that this engine can serve; the controls move there
//     start({gen, knobs, seed, paused}),   a new run; the frame of step 0 comes first, at once; with `paused` only that
//                                  one comes. Whatever ran before is cancelled.
//     set({gen, live}),            move live knobs {name: value} in the running (or paused) run; no restart
//     pause(), resume(),
//     stepOnce(),                  when paused: go on to the next recorded point (plan.every steps), stay paused
//     stop(),                      end for good: free workers and timers (the widget has left the page)
//     ack(n),                      frame number n has been painted (only frames that carry an `n` are acknowledged)
//     onframe,                     set by the widget: function (frame)
//     onfail,                      set by the widget: function ({gen, sentence, fatal}); the run ended with an error,
//                                  said in a sentence for the reader. fatal: this engine cannot work here at all, and
//                                  the widget turns to the next one of its list.
//     onadopt,                     set by the widget: function ({knobs, seed}); someone else moved the knobs
//   }
//   frame = {                      (view: optional, where the fixed knobs of the run change the view of the spec)
//     gen, step, steps, seed, knobs, n,
//     status: {kind, sentence},    kind: "running" | "finished" | "stopped" | "diverged"
//     history: {name: Float32Array},                          all points so far, "step" among the names
//     arrays: {name: {shape: [...], data: Float32Array}},     what `observe` gave, row-major
//   }
//   `gen` is the number that `start` was given: frames of another generation are dropped here, so an engine may be late.
//   Exception: gen = null marks a run that someone else started (python's widget.set); it is always shown.
//
// THE SPEC, as JSON:
//   { title, name, predict, after, alt, view: View.to_dict(), seed, autoplay,
//     knobs: [{name, label, kind: "range" | "choice" | "toggle", low, high, scale, choices, default, unit, help,
//              live: bool, restarts: bool (a move starts a new run), integer: bool}],
//     controls: [names], plan: {steps, every}, engines: [names], still: data-URI or null }
//
// mount(el, spec, engines, {link, start}) puts a widget into `el`; `engines` is a list of functions (spec) -> engine, the
// first one preferred (one that throws is passed over); `link: true` restores knobs and seed from the address and offers
// a link; `start: {knobs, seed}` sets other first values; `first` is a frame with gen "first" that is shown until an engine
// has answered. It returns {destroy(), frame, values}.

const PATIENCE = 8000;      // ms without an answer before the reader is told
const WAITING = "a first picture, made when this cell ran; the sliders answer as soon as the kernel is free";
const DRAG = 150;           // ms: while a slider is dragged, the next run waits for the first picture of this one, not longer

/**
 * The knobs that the engine can serve nearest to `wanted`. A key press that would end where it began goes on to the next
 * value that is served: on a slider of few stored values an arrow key moves too.
 */
function served(engine, control, wanted, name, before, turn) {
  let found = engine.snap(wanted);
  for (let p = control.position; turn && found[name] === before && p >= 0 && p <= control.last; p += turn) {
    found = engine.snap({ ...wanted, [name]: control.at(p) });
  }
  return found;
}

/** Put a widget into `el`. See the comment at the top of this file. */
export function mount(el, spec, engines, { link = false, start = null, first = null } = {}) {
  const values = {};
  for (const knob of spec.knobs) values[knob.name] = knob.default;
  let seed = spec.seed;
  if (start) { Object.assign(values, start.knobs); seed = start.seed ?? seed; }
  if (link) ({ seed } = restore(spec, values, seed));
  let engine = null, tried = 0, gen = 0, phase = "ready", latest = first, ghost = null, visible = false, begun = false;
  let inFlight = false, queued = null, sentAt = 0, patience = 0, dirty = Boolean(first), framesPainted = 0, livePainted = 0, paintedAt = 0, gone = false;
  const memory = {}, calm = matchMedia("(prefers-reduced-motion: reduce)");

  const ui = shell(spec, seed, link, {
    knob(name, value, turn) {
      const snapped = engine?.snap && served(engine, ui.controls[name], { ...values, [name]: value }, name, values[name], turn);
      if (snapped) {
        const same = Object.keys(snapped).every((n) => snapped[n] === values[n]);
        adopt(snapped);
        if (same) return;
      } else values[name] = value;
      if (!spec.knobs.find((k) => k.name === name).restarts && (phase === "running" || phase === "paused")) engine.set({ gen, live: { [name]: value } });
      else launch(false);
      badge();
    },
    seed(value) { seed = value; launch(false); },
    run() {
      if (phase === "running") { engine.pause(); turn("paused"); } else if (phase === "paused" || (phase === "ready" && latest && !inFlight && gen > 0)) {
        engine.resume(); turn("running");
      } else launch(false);
    },
    step() { if (phase === "running") engine.pause(); turn("paused"); engine.stepOnce(); },
    reset() {
      for (const knob of spec.knobs) { values[knob.name] = knob.default; ui.controls[knob.name]?.set(knob.default); }
      seed = spec.seed;
      ui.seed.set(seed);
      launch(true);
    },
    pin() {
      ghost = ghost ? null : latest;
      ui.pinned(ghost ? `Pinned behind: ${settings(spec, ghost.knobs, ghost.seed)}` : "");
      dirty = true; schedule();
    },
    async copy() {
      const text = link ? address(spec, values, seed) : pythonCall(spec, values, seed);
      announce(await copyText(text) ? (link ? "Link copied: it opens this page with these settings." : "Copied: the line of Python that makes this widget.") : text);
    },
    save(kind) { if (latest) save(kind, spec, latest, ui.canvas); },
  });
  el.append(ui.root);

  function announce(sentence) { ui.live.textContent = sentence; ui.note.textContent = sentence; }

  function turn(next) {
    phase = next;
    ui.root.dataset.phase = phase;
    const again = ["finished", "stopped", "diverged", "failed"].includes(phase);
    ui.run.say(...(phase === "running" ? ["Pause", "pause", "hold the run where it is"]
      : [again ? "Run again" : "Run", "run", again ? "start again at step 0" : "go on"]));
    ui.step.disabled = again;
    words();
  }

  function words(sentence = null) {
    const s = sentence ?? (latest?.gen === "first" && inFlight ? WAITING : phase === "paused" && latest ? `paused at step ${latest.step} of ${latest.steps}`
      : phase === "ready" ? "ready: press Run" : latest?.status.sentence ?? "starting");
    const text = s + (latest && !sentence ? numbers(latest) : "");
    ui.status.textContent = text;
    ui.status.classList.toggle("ndl-trouble", phase === "diverged" || phase === "failed");
    if (phase !== ui.said) { ui.said = phase; ui.live.textContent = text; ui.describe(text); }
  }

  function badge() { ui.badge.textContent = engine?.sentence(values) ?? ""; ui.badge.dataset.engine = engine?.name ?? "none"; }

  function next() {
    while (tried < engines.length) {
      try {
        engine = engines[tried++](spec);
        engine.onframe = onframe;
        engine.onfail = onfail;
        engine.onadopt = ({ knobs, seed: s }) => { adopt(knobs); if (s != null) { seed = s; ui.seed.set(s); } };
        for (const [name, c] of Object.entries(ui.controls)) c.serves?.((v) => !engine.snap || engine.snap({ ...values, [name]: v })[name] === v);
        badge();
        return true;
      } catch (error) {
        ui.note.textContent = String(error.message ?? error);
      }
    }
    return false;
  }

  function adopt(knobs) {
    for (const [name, value] of Object.entries(knobs)) { values[name] = value; ui.controls[name]?.set(value); }
    badge();
  }

  function launch(paused) {
    if (!engine || gone) return;
    begun = true;
    if (inFlight && performance.now() - sentAt < DRAG) {
      if (queued === null) setTimeout(() => { if (queued !== null) { inFlight = false; const q = queued; queued = null; launch(q.paused); } }, DRAG);
      queued = { paused };
      return;
    }
    const snapped = engine.snap?.({ ...values });
    if (snapped) adopt(snapped);
    gen += 1; inFlight = true; sentAt = performance.now();
    ui.note.textContent = "";
    ui.root.dataset.gen = gen;
    ui.said = null;
    turn(paused ? "ready" : "running");
    clearTimeout(patience);
    const mine = gen;
    patience = setTimeout(() => {
      if (mine === gen && inFlight) words(engine.name === "kernel"
        ? "no answer from the kernel: it is busy or was stopped; run this cell again when it is free" : "still computing the first picture");
    }, PATIENCE);
    engine.start({ gen, knobs: { ...values }, seed, paused });
  }

  function onframe(frame) {
    if (gone || (frame.gen !== null && frame.gen !== gen)) return;
    latest = frame;
    dirty = true;
    inFlight = false;
    if (ui.badge.textContent !== engine.sentence(values)) badge();      // a run may change over to compiled code
    if (frame.gen === null && phase !== "running") turn("running");
    if (frame.status.kind !== "running") { if (phase !== frame.status.kind) turn(frame.status.kind); }
    schedule();
    if (queued !== null) { const q = queued; queued = null; launch(q.paused); }
  }

  function onfail({ gen: number, sentence, fatal }) {
    if (gone || (number != null && number !== gen)) return;
    inFlight = false;
    if (fatal) {
      engine.stop?.();
      if (next()) { launch(phase === "ready"); return; }
    }
    turn("failed");
    words(sentence);
    ui.live.textContent = sentence;
    if (queued !== null) { const q = queued; queued = null; launch(q.paused); }
  }

  let waiting = 0;
  function schedule() {
    if (waiting || !visible || gone) return;
    const rest = calm.matches && phase === "running" ? 500 - (performance.now() - paintedAt) : 0;
    waiting = rest > 0 ? setTimeout(() => requestAnimationFrame(paint), rest) : requestAnimationFrame(paint);
  }

  function paint() {
    waiting = 0;
    if (!dirty || !latest || gone) return;
    const width = ui.stage.clientWidth;
    if (!width) return;
    dirty = false;
    const { height } = layout(latest.view ?? spec.view, width), dpr = Math.min(3, devicePixelRatio || 1), canvas = ui.canvas;
    const w = Math.round(width * dpr), h = Math.round(height * dpr);
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w; canvas.height = h;
      canvas.style.height = `${height}px`;
    }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
    drawView(ctx, latest.view ?? spec.view, latest, { width, palette: paletteOf(ui.root), steps: latest.steps, ghost, memory });
    paintedAt = performance.now();
    ui.drawn();
    if (latest.gen !== "first") ui.root.dataset.live = ++livePainted;
    Object.assign(ui.root.dataset, { painted: ++framesPainted, step: latest.step, shown: latest.gen ?? "python" });
    if (phase !== "failed") words();
    if (latest.n != null) engine.ack(latest.n);
  }

  const repaint = () => { ui.theme(); dirty = true; schedule(); };
  const later = () => { repaint(); setTimeout(repaint, 350); };      // a theme's style sheet may arrive after its name
  const sizes = new ResizeObserver(repaint);
  sizes.observe(ui.stage);
  const seen = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    if (!visible) return;
    ui.theme();
    if (!begun) launch(calm.matches || !spec.autoplay);
    schedule();
  }, { rootMargin: "80px" });
  const themes = new MutationObserver(later);
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", later);
  turn("ready");
  if (!next()) onfail({ gen: null, sentence: ui.note.textContent || "this widget cannot run here", fatal: false });
  for (const [name, value] of Object.entries(values)) ui.controls[name]?.set(value);
  seen.observe(ui.root);

  return {
    get frame() { return latest; },
    get values() { return { ...values }; },
    destroy() {
      gone = true;
      clearTimeout(patience);
      sizes.disconnect(); seen.disconnect(); themes.disconnect();
      scheme.removeEventListener("change", later);
      engine?.stop();
      ui.root.remove();
    },
  };
}
