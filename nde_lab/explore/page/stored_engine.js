// The stored engine: runs that were computed when the book was built lie packed in the page; sliders move between them.
//
//   spec.stored = { axes: [{name, values}], seed, every, film: [steps of the film's frames],
//                   arrays: [{name, shape, at}],                 uint16, `at` = offset in numbers inside one frame
//                   history: [names], points: [steps],           float32
//                   cells: [{frames, points, status}],            a diverged run has fewer frames and points
//                   numbers, ranges, curves: {size, data} }      packed; see stored.py
//
// Nothing is interpolated: what is shown is a run that was made, and the sentence says which.

const FILM_MS = 160;      // between two frames of the film

const valueText = (v) => typeof v === "boolean" ? (v ? "on" : "off") : typeof v === "number" ? String(Number(v.toPrecision(3))) : String(v);

/** The index on one axis whose value is nearest (on the knob's own scale). */
function nearestIndex(values, wanted, knob) {
  const exact = values.indexOf(wanted);
  if (exact >= 0 || typeof wanted !== "number") return Math.max(0, exact);
  const f = knob.scale === "log" ? Math.log : (v) => v;
  let best = 0;
  values.forEach((v, i) => { if (Math.abs(f(v) - f(wanted)) < Math.abs(f(values[best]) - f(wanted))) best = i; });
  return best;
}

export function storedEngine(spec) {
  const { axes, seed, film, arrays, history, points, cells, every } = spec.stored;
  const knobOf = Object.fromEntries(spec.knobs.map((k) => [k.name, k]));
  const frameSize = arrays.reduce((n, a) => n + a.shape.reduce((p, d) => p * d, 1), 0);
  let numbers = null, ranges = null, curves = null, gen = 0, knobs = null, cell = 0, at = 0, paused = false, timer = 0, n = 0;

  const place = (wanted) => axes.reduce((i, { name, values }) => i * values.length + nearestIndex(values, wanted[name], knobOf[name]), 0);
  const snapped = (wanted) => ({ ...wanted, ...Object.fromEntries(axes.map(({ name, values }) => [name, values[nearestIndex(values, wanted[name], knobOf[name])]])) });

  function load() {
    if (numbers) return;
    curves = new Float32Array(unpack(spec.stored.curves).buffer);
    ranges = new Float32Array(unpack(spec.stored.ranges).buffer);
    numbers = new Uint16Array(unpack(spec.stored.numbers).buffer);
  }

  function frame() {
    const { frames, points: known, status } = cells[cell], last = at >= frames - 1;
    const step = last ? status.step : film[at], from = (cell * film.length + Math.min(at, frames - 1)) * frameSize;
    const shown = {}, curve = {};
    arrays.forEach(({ name, shape, at: offset }, j) => {
      const size = shape.reduce((p, d) => p * d, 1), data = new Float32Array(size);
      const [low, high] = ranges.subarray(2 * (cell * arrays.length + j));
      for (let i = 0; i < size; i++) {
        const word = numbers[from + offset + i];
        data[i] = word === 65535 ? NaN : low + (high - low) * word / 65534;
      }
      shown[name] = { shape, data };
    });
    let upto = 0;
    while (upto < known && points[upto] <= step) upto++;
    history.forEach((name, h) => {
      const start = (cell * history.length + h) * points.length;
      curve[name] = curves.slice(start, start + upto);
    });
    curve.step = Float32Array.from(points.slice(0, upto));
    n += 1;
    engine.onframe?.({ gen, n, step, steps: film[film.length - 1], seed, knobs: { ...knobs }, arrays: shown, history: curve,
      status: last ? status : { kind: "running", sentence: `playing: step ${step} of ${film[film.length - 1]}` } });
  }

  const ended = () => at >= cells[cell].frames - 1;
  function play() {
    clearTimeout(timer);
    if (paused || ended()) return;
    timer = setTimeout(() => { at += 1; frame(); play(); }, FILM_MS);
  }

  const engine = {
    name: "stored", every, onframe: null, onfail: null, onadopt: null,
    sentence(wanted) {
      const words = axes.map(({ name }) => `${plain(knobOf[name])} = ${valueText(snapped(wanted)[name])}`);
      return `stored run at ${[...words, `seed ${seed}`].join(", ")}`;
    },
    snap: snapped,
    start({ gen: number, knobs: wanted, seed: asked, paused: waiting }) {
      try { load(); } catch (error) {
        engine.onfail?.({ gen: number, fatal: true, sentence: `the stored runs could not be read: ${error.message}` });
        return;
      }
      gen = number; knobs = snapped(wanted); cell = place(knobs); at = 0; paused = Boolean(waiting);
      if (asked !== seed) engine.onadopt?.({ knobs, seed });       // one seed is stored; the field says so
      frame();
      play();
    },
    set({ gen: number, live }) {
      gen = number; knobs = snapped({ ...knobs, ...live }); cell = place(knobs);
      at = Math.min(at, cells[cell].frames - 1);
      engine.onadopt?.({ knobs });
      frame();
      play();
    },
    pause() { paused = true; clearTimeout(timer); },
    resume() { paused = false; play(); },
    stepOnce() { paused = true; clearTimeout(timer); if (!ended()) { at += 1; frame(); } },
    ack() {},
    stop() { clearTimeout(timer); },
  };
  return engine;
}

const plain = (knob) => knob.label || knob.name.replaceAll("_", " ");
