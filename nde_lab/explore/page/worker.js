// The driver: runs programs in slices, so that a moved slider is heard within some 10 ms, and sends frames that the page
// can follow. It lives in a Web Worker; where there is none, the same code is fed by the page itself.
//
//   in   {t: "program", key, program}        what `load` understands; kept under its key
//        {t: "start", gen, key, live, seed, paused}   {t: "set", gen, live}   {t: "pause"|"resume"|"step"|"stop"}
//        {t: "ack", n}    {t: "hidden", hidden}
//   out  {t: "frame", frame}    {t: "fail", gen, sentence, fatal}

const AHEAD = 2;             // frames on their way before the next is held back: the page may be slower than we are
const PACE_MS = 30;          // between frames: 33 a second are enough for eyes

/** post(message, transfer) sends; load(program) -> a program of run.js. Returns the function that takes a message. */
export function serve({ post, load, slice = 12, now = () => performance.now(), later = soon() }) {
  const programs = new Map();
  let run = null, gen = 0, paused = false, hidden = false, scheduled = false, oneStep = false;
  let sent = 0, acked = 0, lastSent = -Infinity, dirty = false;

  const moving = () => run !== null && run.going && !hidden && (!paused || oneStep);

  function send(sentence) {
    const frame = run.frame();
    if (sentence) frame.status = { ...frame.status, sentence };
    const transfer = [...Object.values(frame.history).map((h) => h.buffer), ...Object.values(frame.arrays).map((a) => a.data.buffer)];
    sent += 1;
    lastSent = now();
    dirty = false;
    post({ t: "frame", frame: { ...frame, gen, n: sent } }, transfer);
  }

  function fail(error) {
    run = null;
    post({ t: "fail", gen, fatal: false, sentence: `this page could not go on with the run: ${error?.message ?? error}` });
  }

  function work() {
    scheduled = false;
    if (!moving()) return;
    try {
      const until = now() + slice;
      do {
        const due = run.step();
        dirty ||= due;
        if (due && oneStep) { oneStep = false; send(); break; }
        if (!run.going) { send(); return; }
        if (due && sent - acked < AHEAD && now() - lastSent >= PACE_MS) { send(); break; }
      } while (now() < until);
    } catch (error) { fail(error); return; }
    wake();
  }

  function wake() {
    if (!scheduled && moving()) { scheduled = true; later(work); }
  }

  const handlers = {
    program({ key, program }) {                    // trouble is told by the start that follows, under its number
      try { programs.set(key, load(program)); } catch (error) { programs.set(key, error); }
    },
    start(message) {
      gen = message.gen;
      paused = Boolean(message.paused);
      oneStep = false;
      sent = acked = 0;
      const program = programs.get(message.key);
      if (!program) throw new Error(`no program for ${message.key}`);
      if (program instanceof Error) throw program;
      run = new Run(program, message);
      send();                                      // the frame of step 0, at once
    },
    set({ live }) {
      if (!run) return;
      run.live = { ...run.live, ...live };
      if (!moving()) send();                       // at rest the picture follows the slider all the same
    },
    pause() { paused = true; if (run && dirty) send(); },
    resume() { paused = false; },
    step() { paused = true; oneStep = true; },
    stop() { run = null; },
    ack({ n }) { acked = Math.max(acked, n); },
    hidden(message) {
      if (hidden === message.hidden) return;
      hidden = message.hidden;
      if (run?.going && !paused) {
        send(hidden ? `resting at step ${run.t} of ${run.plan.steps} while this tab is hidden` : undefined);
      }
    },
  };

  return function receive(message) {
    try {
      handlers[message.t](message);
    } catch (error) { if (message.gen !== undefined) gen = message.gen; fail(error); }
    wake();
  };
}

/** "As soon as other messages were heard": a message channel, because timers wait 4 ms after some turns. */
function soon() {
  if (typeof MessageChannel === "undefined") return (f) => setTimeout(f, 0);
  const { port1, port2 } = new MessageChannel();
  let next = null;
  port1.onmessage = () => { const f = next; next = null; f?.(); };
  return (f) => { next = f; port2.postMessage(0); };
}

/** Inside a worker: listen to the page. */
export function listen(scope, load) {
  const receive = serve({ post: (message, transfer) => scope.postMessage(message, transfer), load });
  scope.onmessage = (event) => receive(event.data);
}
