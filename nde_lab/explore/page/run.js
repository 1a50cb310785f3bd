// One run of an experiment in the page: the twin of nde_lab.experiment.Run, sentence for sentence.
//
// A program is what the lowering made of one experiment with its fixed knobs:
//   program = { plan: {steps, every, advice},
//               init(live, seed) -> void        a fresh state inside the program
//               step(live, t) -> info           one step; info = {name: {shape, data}}, state not yet accepted
//               accept()                        the new state becomes the state
//               observe(live) -> {name: {shape, data}} }
// Its arrays may be windows on memory that the next call overwrites; what leaves here is copied.

/** Python's format(x, ".3g"). */
export function threeDigits(x) {
  if (x === 0) return "0";
  const text = x.toPrecision(3), e = Math.floor(Math.log10(Math.abs(Number(text))) + 1e-12);
  if (e >= -4 && e < 3) return String(Number(text)).includes("e") ? Number(text).toFixed(2 - e) : String(Number(text));
  const [mantissa, power] = Number(text).toExponential(2).split("e");
  const n = Number(power);
  return `${Number(mantissa)}e${n < 0 ? "-" : "+"}${String(Math.abs(n)).padStart(2, "0")}`;
}

export class Run {
  /** seed: 0 .. 2^53 - 1; live: {name: number}. */
  constructor(program, { seed, live }) {
    this.program = program;
    this.plan = program.plan;
    this.seed = seed;
    this.live = { ...live };
    this.t = 0;
    this.history = new Map();
    this.status = { kind: "running", sentence: "running: step 0", step: 0 };
    program.init(this.live, seed);
  }

  get going() { return this.status.kind === "running"; }

  /** One step. True when a frame is due: a recorded point, the end, or divergence. */
  step() {
    const info = this.program.step(this.live, this.t), { steps, every, advice } = this.plan;
    this.t += 1;
    const lost = this.lost(info);
    if (lost) {
      const time = info.t && Number.isFinite(info.t.data[0]) ? ` (time ${threeDigits(info.t.data[0])})` : "";
      this.status = { kind: "diverged", step: this.t,
        sentence: `diverged: ${lost} stopped being finite at step ${this.t}${time}; ${advice}` };
      return true;
    }
    this.program.accept();
    const due = this.t % every === 0;
    if (due || this.t === steps) this.record(info);
    this.status = this.t >= steps ? { kind: "finished", sentence: `finished: ${this.t} steps`, step: this.t }
      : { kind: "running", sentence: `running: step ${this.t} of ${steps}`, step: this.t };
    return due || this.t >= steps;
  }

  /** What stopped being finite, in words, or null. */
  lost(info) {
    const bad = info.ok ? info.ok.data.findIndex((v) => !v) : -1;
    if (bad >= 0 && info.ok.shape.length) return `row ${bad}`;
    for (const name in info) if (name !== "ok" && !Number.isFinite(info[name].data[0])) return name;
    return bad >= 0 ? "the state" : null;
  }

  record(info) {
    const put = (name, value) => {
      let values = this.history.get(name);
      if (!values) this.history.set(name, values = []);
      values.push(value);
    };
    put("step", this.t);
    for (const name in info) if (name !== "ok") put(name, info[name].data[0]);
  }

  stop() {
    if (this.going) this.status = { kind: "stopped", sentence: `stopped at step ${this.t} of ${this.plan.steps}`, step: this.t };
  }

  /** The frame of the present state (after divergence: of the last finite one), in memory of its own. */
  frame() {
    const history = {}, arrays = {}, seen = this.program.observe(this.live);
    for (const [name, values] of this.history) history[name] = Float32Array.from(values);
    for (const name in seen) arrays[name] = { shape: seen[name].shape, data: Float32Array.from(seen[name].data) };
    return { step: this.t, steps: this.plan.steps, seed: this.seed, status: this.status, history, arrays };
  }
}
