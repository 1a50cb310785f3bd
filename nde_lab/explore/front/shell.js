// The widget's parts as DOM nodes, and what a reader may take away: a link, a picture, the numbers.

/** Build all nodes. `on` = {knob(name, value, turn), seed(v), run(), step(), reset(), pin(), copy(), save(kind)}. */
export function shell(spec, seed, link, on) {
  const controls = {};
  for (const name of spec.controls) {
    const knob = spec.knobs.find((k) => k.name === name);
    controls[name] = control(knob, (value, turn) => on.knob(name, value, turn));
  }
  const badge = element("span.ndl-badge", {}), status = element("p.ndl-status", {});
  const live = element("p.ndl-hidden", { role: "status", "aria-live": "polite" }), note = element("p.ndl-note", {}), pinNote = element("p.ndl-note", {});
  const canvas = element("canvas.ndl-canvas", { role: "img", "aria-label": spec.alt });
  const still = spec.still ? element("img.ndl-still", { src: spec.still, alt: spec.alt }) : null;
  const stage = element("div.ndl-stage", {}, canvas, still);
  const run = button("Run", { icon: "run", title: "go on", onclick: on.run, kind: "main" });
  const step = button("Step", { icon: "step", title: "go on to the next recorded point", onclick: on.step });
  const reset = button("Reset", { icon: "reset", title: "back to step 0 and to the first settings", onclick: on.reset });
  const seedField = seedControl(seed, on.seed);
  const pin = button("Pin", { title: "keep this run as a pale copy behind the next one", onclick: on.pin, pressed: "false", kind: "quiet" });
  const copy = button(link ? "Copy link" : "Copy code", { title: link ? "copy an address that opens this page with these settings"
    : "copy the line of Python that makes this widget with these settings", onclick: on.copy, kind: "quiet" });
  const menu = element("details.ndl-menu", {}, element("summary.ndl-button.ndl-quiet", { "data-lm-suppress-shortcuts": "true" }, "Save"),
    element("div.ndl-sheet", {}, ...[["png", "picture (PNG)"], ["csv", "numbers (CSV)"], ["json", "numbers (JSON)"]].map(([kind, word]) =>
      button(word, { onclick: () => { menu.open = false; on.save(kind); }, kind: "quiet" }))));
  menu.addEventListener("keydown", (e) => { if (e.key === "Escape") { menu.open = false; menu.firstChild.focus(); } });
  const head = element("div.ndl-head", {}, spec.title ? element("div.ndl-title", { id: freshId() }, plainText(spec.title)) : element("span"), badge);
  const grid = spec.controls.length ? element("div.ndl-controls", { style: `--ndl-columns: ${{ 1: 2, 2: 2, 4: 2 }[spec.controls.length] ?? 3}` }, ...spec.controls.map((n) => controls[n].node)) : null;
  const root = element("div.ndl-root", { role: "group", "aria-label": plainText(spec.title || spec.name), "data-name": spec.name },
    head,
    spec.predict ? element("p.ndl-predict", {}, element("b", {}, "Predict first. "), ...prose(spec.predict)) : null,
    stage, grid,
    element("div.ndl-bar", {}, element("div.ndl-group", {}, run, step, reset, seedField.node), element("div.ndl-group", {}, pin, menu, copy)),
    status, note, pinNote, live,
    spec.after ? element("details.ndl-after", {}, element("summary", { "data-lm-suppress-shortcuts": "true" }, "What you should have seen"), element("p", {}, ...prose(spec.after))) : null);
  return {
    root, stage, canvas, controls, badge, status, live, note, run, step, seed: seedField, said: null,
    pinned(text) { pin.setAttribute("aria-pressed", text ? "true" : "false"); pin.say(text ? "Unpin" : "Pin", null, text ? "take the pale copy away" : "keep this run as a pale copy behind the next one"); pinNote.textContent = text; },
    describe(text) { canvas.setAttribute("aria-label", `${spec.alt} Now: ${text}.`); },
    drawn() { root.classList.add("ndl-drawn"); },
    theme() { root.dataset.theme = isDark(root) ? "dark" : "light"; },
  };
}

/** Dark if the first real background around the widget is dark. */
function isDark(node) {
  for (let at = node.parentElement; at; at = at.parentElement) {
    const found = rgb(getComputedStyle(at).backgroundColor);
    if (found) return luminance(found) < 0.2;
  }
  return false;
}

/** " · loss 0.0213": the newest numbers of the history. */
export function numbers(frame) {
  return Object.entries(frame.history).filter(([name, a]) => a.length && name !== "step" && name !== "t").slice(0, 3)
    .map(([name, a]) => ` · ${name.replaceAll("_", " ")} ${numberText(a[a.length - 1])}`).join("");
}

/** "width = 16, lr = 0.01, seed 0": the settings of a run, in words. */
export function settings(spec, knobs, seed) {
  return [...spec.controls.map((n) => `${plainText(spec.knobs.find((k) => k.name === n).label) || n} = ${numberText(knobs[n])}`), `seed ${seed}`].join(", ");
}

/** The address of this page with knobs and seed in its fragment. */
export function address(spec, values, seed) {
  const query = new URLSearchParams({ ndl: spec.name });
  for (const k of spec.knobs) if (values[k.name] !== k.default) query.set(k.name, JSON.stringify(values[k.name]));
  query.set("seed", seed);
  return `${location.href.split("#")[0]}#${query}`;
}

/** Knobs and seed of the address, where they belong to this widget and are allowed; changes `values`, returns {seed}. */
export function restore(spec, values, seed, hash = location.hash) {
  const query = new URLSearchParams(hash.slice(1));
  if (query.get("ndl") !== spec.name) return { seed };
  for (const knob of spec.knobs) {
    let v;
    try { v = JSON.parse(query.get(knob.name)); } catch { continue; }
    const fits = knob.kind === "range" ? typeof v === "number" && v >= knob.low && v <= knob.high && (!knob.integer || Number.isInteger(v))
      : knob.choices.includes(v);
    if (fits) values[knob.name] = v;
  }
  const s = Number(query.get("seed"));
  return { seed: query.has("seed") && Number.isInteger(s) && s >= 0 && s < 2 ** 53 ? s : seed };
}

/** The line of Python that makes this widget with these settings. */
export function pythonCall(spec, values, seed) {
  const literal = (v) => typeof v === "boolean" ? (v ? "True" : "False") : JSON.stringify(v);
  return `explore(${[spec.name, ...Object.entries(values).map(([n, v]) => `${n}=${literal(v)}`), `seed=${seed}`].join(", ")})`;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element("textarea.ndl-hidden", {}, text);         // no clipboard on file: pages and plain http
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/** Long-format table: one number a line, indices in columns; the settings as comments above. */
export function tableText(spec, frame) {
  const lines = [`# ${spec.name}`, `# ${Object.entries(frame.knobs).map(([n, v]) => `${n} = ${v}`).join(", ")}, seed = ${frame.seed}, step = ${frame.step}`, "name,i,j,k,value"];
  const row = (name, shape, data) => data.forEach((v, at) => {
    const index = [];
    for (let d = shape.length - 1, rest = at; d >= 0; d--) { index.unshift(rest % shape[d]); rest = Math.floor(rest / shape[d]); }
    lines.push([name, index[0] ?? "", index[1] ?? "", index[2] ?? "", v].join(","));
  });
  for (const [name, a] of Object.entries(frame.history)) row(`history.${name}`, [a.length], a);
  for (const [name, { shape, data }] of Object.entries(frame.arrays)) row(name, shape, data);
  return lines.join("\n") + "\n";
}

function save(kind, spec, frame, canvas) {
  const name = `${spec.name.toLowerCase()}-seed${frame.seed}-step${frame.step}.${kind}`;
  const give = (blob) => {
    const href = URL.createObjectURL(blob), a = element("a", { href, download: name });
    document.body.append(a);
    a.click();
    a.remove();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
  };
  if (kind === "png") canvas.toBlob(give, "image/png");
  else if (kind === "csv") give(new Blob([tableText(spec, frame)], { type: "text/csv" }));
  else {
    const plain = (o, f) => Object.fromEntries(Object.entries(o).map(([n, v]) => [n, f(v)]));
    give(new Blob([JSON.stringify({ experiment: spec.name, knobs: frame.knobs, seed: frame.seed, step: frame.step, status: frame.status,
      history: plain(frame.history, (a) => [...a]), arrays: plain(frame.arrays, ({ shape, data }) => ({ shape, data: [...data] })) })],
    { type: "application/json" }));
  }
}
