// The kernel engine: torch trains in the notebook's kernel, frames come over the widget's comm as float32 buffers.

const floats = (buffers) => buffers.map((b) => {
  const { buffer, byteOffset, byteLength } = b.buffer ? b : new DataView(b);
  return byteOffset % 4 ? new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength)) : new Float32Array(buffer, byteOffset, byteLength / 4);
});

/** What widget.js calls a frame, from a message, its numbers and the history so far. */
function frameOf(message, numbers, history) {
  const arrays = {};
  message.arrays.forEach(({ name, shape }, i) => { arrays[name] = { shape, data: numbers[message.history.names.length + i] }; });
  return { step: message.step, steps: message.steps, seed: message.seed, knobs: message.knobs, status: message.status, history, arrays };
}

/** The picture made when the cell ran (the model's `first`), or null: it needs no answer of the kernel. */
export function firstFrame(model) {
  const message = model.get("first");
  if (!message?.buffers) return null;
  const numbers = floats(message.buffers), history = {};
  message.history.names.forEach((name, i) => { history[name] = numbers[i]; });
  return { ...frameOf(message, numbers, history), gen: "first", n: null };
}

/** An engine (see widget.js) over an anywidget model. */
export function kernelEngine(model) {
  const view = Math.random().toString(36).slice(2);
  let speaks = "eager";                    // who computed the last frame: torch ("eager") or a "native" program
  let gen = 0, waiting = true, history = {}, owner = null, acked = 0, ownRun = 0, stopped = false;
  const lost = () => {
    if (!stopped) engine.onfail?.({ gen, sentence: "the kernel was stopped or restarted; run this cell again", fatal: false });
  };
  const send = (message) => {
    if (stopped) return;
    try { Promise.resolve(model.send({ view, gen, ...message })).catch(lost); } catch { lost(); }
  };
  const engine = {
    name: "kernel",
    onframe: null, onfail: null, onadopt: null,
    sentence: () => "live: trained now by the kernel" + (speaks === "native" ? ", compiled" : ""),
    start({ gen: number, knobs, seed, paused }) {
      gen = number; waiting = true;
      send({ t: "start", knobs, seed, paused: Boolean(paused) });
    },
    set({ live }) { send({ t: "set", live }); },
    pause() { send({ t: "pause" }); },
    resume() { send({ t: "resume" }); },
    stepOnce() { send({ t: "step" }); },
    // Every message costs the kernel a busy and an idle report, so only each fourth frame is acknowledged.
    ack(n) { if (n - acked >= 4) { acked = n; send({ t: "ack", n, run: ownRun }); } },
    stop() { send({ t: "stop" }); stopped = true; model.off("msg:custom", receive); },
  };

  function receive(message, buffers) {
    if (message.t === "knobs") { engine.onadopt?.({ knobs: message.knobs, seed: message.seed }); return; }
    const mine = message.view === view;
    // After a start nothing counts until our own run answers: what is on the way belongs to an older one.
    if (mine ? message.gen !== gen : waiting && message.view !== "python") return;
    if (mine || message.view === "python") waiting = false;
    if (message.t === "error") {
      engine.onfail?.({ gen: mine ? gen : null, sentence: message.sentence, fatal: false });
      return;
    }
    if (message.t !== "frame") return;
    speaks = message.engine ?? "eager";
    const numbers = floats(buffers);
    if (owner !== message.run) { owner = ownRun = message.run; history = {}; acked = 0; }
    message.history.names.forEach((name, i) => {
      if (!numbers[i].length && history[name]) return;
      if ((history[name]?.length ?? 0) < message.history.from) send({ t: "sync" });   // we came late: ask for all of it
      const before = history[name]?.subarray(0, message.history.from) ?? new Float32Array(0);
      const joined = new Float32Array(before.length + numbers[i].length);
      joined.set(before);
      joined.set(numbers[i], before.length);
      history[name] = joined;
    });
    engine.onframe?.({ ...frameOf(message, numbers, { ...history }), gen: mine ? gen : null, n: message.n });
  }

  model.on("msg:custom", receive);
  send({ t: "hello" });
  return engine;
}
