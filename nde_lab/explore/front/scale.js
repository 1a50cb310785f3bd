// Numbers to pixels: ranges that fit the data, ticks that people like, and text for numbers. No canvas here.

/** Ticks at 1, 2 or 5 times a power of ten, inside [low, high]; about `count` of them. */
export function niceTicks(low, high, count = 5) {
  if (!(Number.isFinite(low) && Number.isFinite(high) && high > low)) return [];
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw * 0.999) * power;
  const first = Math.ceil(low / step - 1e-9), ticks = [];
  for (let i = first; i * step <= high + 1e-9 * step; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks.length < 2 && count < 16 ? niceTicks(low, high, 2 * count) : ticks;   // one number says no scale
}

/** Ticks of a log axis: powers of ten (thinned when there are many); 2 and 5 between them when there are few. */
export function logTicks(low, high, count = 5) {
  if (!(low > 0 && high > low && Number.isFinite(high))) return [];
  const from = Math.ceil(Math.log10(low) - 1e-9), to = Math.floor(Math.log10(high) + 1e-9);
  if (to - from >= 2) {
    const every = Math.max(1, Math.ceil((to - from + 1) / Math.max(2, count)));
    const ticks = [];
    for (let e = Math.ceil(from / every) * every; e <= to; e += every) ticks.push(Number(`1e${e}`));
    return ticks;
  }
  const ticks = [];
  for (let e = from - 1; e <= to; e++) {
    for (const m of [1, 2, 5]) {
      const v = Number((m * 10 ** e).toPrecision(6));
      if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)) ticks.push(v);
    }
  }
  return ticks.length >= 2 ? ticks : niceTicks(low, high, count).filter((v) => v > 0);
}

const UP = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const raised = (n) => [...String(n)].map((c) => UP[c]).join("");

/** Text of a tick: plain between 0.001 and 99999, else 10 to a power. */
export function tickText(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(6))).replace("-", "−");
  const e = Math.floor(Math.log10(size) + 1e-9), m = Number((size / 10 ** e).toPrecision(3));
  return (value < 0 ? "−" : "") + (m === 1 ? "" : `${m}·`) + `10${raised(e)}`;
}

/** Text of a knob or a measured number: three significant digits, whole numbers whole. */
export function numberText(value) {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return "not finite";
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value).replace("-", "−");
  return tickText(Number(value.toPrecision(3)));
}

/** Finite extent of many arrays (positive entries only on a log axis), or null when nothing can be drawn. */
export function extent(arrays, log = false) {
  let low = Infinity, high = -Infinity;
  for (const a of arrays) {
    for (let i = 0; i < a.length; i++) {
      const v = a[i];
      if (Number.isFinite(v) && (!log || v > 0)) { if (v < low) low = v; if (v > high) high = v; }
    }
  }
  return low <= high ? [low, high] : null;
}

/**
 * The range of an axis: what the axis fixes, else the data with a margin. `before` is the range of the last frame: it is
 * kept while the data still fill half of it, so that a live picture does not tremble.
 */
export function fitRange(found, axis, before = null, margin = 0.05) {
  const log = axis.scale === "log", to = log ? Math.log10 : (v) => v, back = log ? (v) => 10 ** v : (v) => v;
  let [low, high] = found ?? (log ? [0.1, 1] : [0, 1]);
  if (axis.low != null) low = axis.low;
  if (axis.high != null) high = axis.high;
  if (log && !(low > 0)) low = high > 0 ? high / 10 : 0.1;
  let a = to(low), b = to(high);
  if (!(b > a)) {
    const half = log ? 0.5 : Math.max(Math.abs(a) * 0.1, 0.5);
    if (axis.low == null) a -= half;
    if (axis.high == null || !(b > a)) b = a + 2 * half;
  } else {
    if (before && axis.low == null && axis.high == null) {
      const p = to(before[0]), q = to(before[1]);
      if (a >= p && b <= q && b - a > 0.5 * (q - p)) return before;
    }
    const pad = margin * (b - a);
    if (axis.low == null) a -= pad;
    if (axis.high == null) b += pad;
    if (!log && axis.low == null && low >= 0 && a < 0) a = 0;       // nothing negative: do not suggest it
  }
  return [back(a), back(b)];
}

/** A function value -> pixel; NaN where the value has no place (not finite, or not positive on a log axis). */
export function scaler([low, high], kind, from, to) {
  const log = kind === "log", a = log ? Math.log(low) : low, b = log ? Math.log(high) : high;
  const k = (to - from) / (b - a);
  const bound = 1e5;                                                // canvas coordinates stay sane for wild values
  return (v) => {
    if (!Number.isFinite(v) || (log && v <= 0)) return NaN;
    return Math.min(bound, Math.max(-bound, from + ((log ? Math.log(v) : v) - a) * k));
  };
}

const GREEK = { alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", varepsilon: "ε", zeta: "ζ", eta: "η",
  theta: "θ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ",
  varphi: "φ", chi: "χ", psi: "ψ", omega: "ω", Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ", Sigma: "Σ", Phi: "Φ",
  Psi: "Ψ", Omega: "Ω", nabla: "∇", partial: "∂", infty: "∞", cdot: "·", times: "×", leq: "≤", geq: "≥", pm: "±",
  approx: "≈", sqrt: "√", langle: "⟨", rangle: "⟩", ell: "ℓ", sum: "∑", int: "∫", to: "→" };
const RAISE = "0⁰1¹2²3³4⁴5⁵6⁶7⁷8⁸9⁹+⁺-⁻nⁿiⁱ*＊Tᵀ", LOWER = "0₀1₁2₂3₃4₄5₅6₆7₇8₈9₉+₊-₋tₜnₙiᵢjⱼkₖaₐeₑoₒxₓsₛpₚrᵣmₘ";
const shift = (text, table, mark) => {
  const found = [...text].map((c) => { const at = [...table].indexOf(c); return at >= 0 ? [...table][at + 1] : null; });
  return found.every(Boolean) ? found.join("") : mark + text;
};

/** The little TeX that labels use ($x_t$, \sigma, ^2) as plain characters for the canvas. */
export function plainText(text) {
  if (!text || !/[$\\]/.test(text)) return text ?? "";
  return text.replace(/\$([^$]*)\$/g, (_, tex) => tex
    .replace(/\\(?:mathrm|text|mathbf|mathcal)\{([^}]*)\}/g, "$1")
    .replace(/\\\|/g, "‖").replace(/\\[,;! ]/g, " ")
    .replace(/\\([A-Za-z]+)\s?/g, (whole, name) => GREEK[name] ?? name)
    .replace(/\^(?:\{([^}]*)\}|(.))/g, (_, a, b) => shift(a ?? b, RAISE, "^"))
    .replace(/_(?:\{([^}]*)\}|(.))/g, (_, a, b) => shift(a ?? b, LOWER, "_"))
    .replace(/[{}]/g, "").replace(/-/g, "−"));
}
