// A program of the page, as it was packed by programs.py, in the form that run.js drives.
//
//   { source, manifest, plan, draws: {start, step, observe}, data: [{name, values}] }
//
// `source` is the lowered module (nde_lab/lowering); `draws` are the declared random tensors, made here by the
// twin of nde_lab.random (random.js); data are what the experiment's data() gave.

const prefixed = (prefix, object) => Object.fromEntries(Object.entries(object).map(([name, v]) => [`${prefix}/${name}`, v]));

export function load({ source, manifest, plan, draws, data }) {
  // eslint-disable-next-line no-eval
  const made = (0, eval)(`(${source})`)({ wasm: typeof WebAssembly !== "undefined" }), { programs } = made;
  const accepts = {}, shapes = {};
  for (const [name, { inputs, outputs }] of Object.entries(manifest)) {
    accepts[name] = new Set(inputs);
    shapes[name] = Object.fromEntries(outputs.map((o) => [o.name, o.shape]));
  }
  const fixed = prefixed("data", Object.fromEntries(data.map(({ name, values }) => [name, values])));
  const given = new Set();
  let state = {}, pending = null, noises = null, frozen = null;

  /** Call a program with those of the inputs that it takes; the data only the first time. */
  function call(name, ...groups) {
    const inputs = {};
    if (!given.has(name)) { given.add(name); groups.push(fixed); }
    for (const group of groups) for (const key in group) if (accepts[name].has(key)) inputs[key] = group[key];
    return programs[name](inputs);
  }

  return {
    plan, engine: made.engine,
    init(live, seed) {
      noises = Object.fromEntries(["start", "step", "observe"].map((stream) => [stream, sampler(draws[stream], seed, stream)]));
      frozen = prefixed("noise", noises.observe(0));
      const out = call("init", prefixed("start", noises.start(0)), prefixed("live", live));
      state = {};
      for (const name in out) state[`state/${name}`] = out[name].slice();
    },
    step(live, t) {
      pending = call("step", state, prefixed("noise", noises.step(t)), prefixed("live", live));
      const info = {};
      for (const name in pending) if (name.startsWith("1/")) info[name.slice(2)] = { shape: shapes.step[name], data: pending[name] };
      return info;
    },
    accept() {
      for (const name in pending) if (name.startsWith("0/")) state[`state/${name.slice(2)}`].set(pending[name]);
    },
    observe(live) {
      const out = call("observe", state, frozen, prefixed("live", live)), seen = {};
      for (const name in out) seen[name] = { shape: shapes.observe[name], data: out[name] };
      return seen;
    },
  };
}
