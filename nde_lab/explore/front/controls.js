// Sliders, choices, toggles and buttons as plain HTML form elements: keyboard and screen readers work as everywhere.

let made = 0;
const freshId = () => `ndl-${(++made).toString(36)}-${Math.random().toString(36).slice(2, 7)}`;

/** element("p.ndl-x", {title: ..}, ...children): a DOM node; strings become text. */
export function element(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c != null));
  return node;
}

/** Text with *emphasis* and `code` as nodes; anything else stays text. */
export function prose(text) {
  return (text ?? "").split(/(\*[^*\s][^*]*\*|`[^`]+`)/).filter(Boolean).map((part) => {
    if (part.length > 2 && part.startsWith("*") && part.endsWith("*")) return element("em", {}, plainText(part.slice(1, -1)));
    if (part.length > 2 && part.startsWith("`") && part.endsWith("`")) return element("code", {}, part.slice(1, -1));
    return plainText(part);
  });
}

/** The positions of a range slider: whole numbers 0 .. n, and the value at each (three significant digits). */
export function positions(knob) {
  const { low, high, scale, integer } = knob;
  if (scale !== "log") {
    if (integer && high - low <= 400) return { n: high - low, at: (p) => low + Math.round(p), of: (v) => v - low };
    const raw = (high - low) / 200, power = 10 ** Math.floor(Math.log10(raw));
    const step = integer ? Math.max(1, Math.round(raw)) : [1, 2, 5].map((m) => m * power).reverse().find((s) => s <= raw * 1.001) ?? power;
    const n = Math.ceil((high - low) / step - 1e-9);
    return { n, at: (p) => Math.min(high, Number((low + p * step).toPrecision(10))), of: (v) => Math.round((v - low) / step) };
  }
  const decades = Math.log10(high / low), n = integer ? Math.min(200, Math.max(24, Math.round(24 * decades))) : Math.min(240, Math.max(60, Math.round(40 * decades)));
  const at = (p) => {
    if (p <= 0) return low;
    if (p >= n) return high;
    const v = low * (high / low) ** (p / n);
    return Math.min(high, Math.max(low, integer ? Math.round(v) : Number(v.toPrecision(3))));
  };
  return { n, at, of: (v) => Math.round(n * Math.log(v / low) / Math.log(high / low)) };
}

/**
 * One control: {node, value, set(value)}; `moved(value, turn)` is called on each change by the reader, not by `set`. A range
 * also has at(position), last and position; `turn` is the direction of a key press on it, 0 for a pointer. Choices have
 * serves(can): those that the engine cannot serve are shown and cannot be taken.
 */
export function control(knob, moved) {
  const make = { range: rangeControl, choice: choiceControl, toggle: toggleControl }[knob.kind];
  return make(knob, moved);
}

const hint = (knob) => [knob.help, !knob.restarts ? "moves while it runs" : "a new value starts a new run"].filter(Boolean).join("; ");
const caption = (knob) => plainText(knob.label || knob.name.replaceAll("_", " "));

function rangeControl(knob, moved) {
  const id = freshId(), p = positions(knob), readout = element("output.ndl-value", { for: id });
  const input = element("input.ndl-range", { id, type: "range", min: 0, max: p.n, step: 1, title: hint(knob), "data-knob": knob.name,
    "data-lm-suppress-shortcuts": "true" });
  const made = { value: knob.default, node: null, at: p.at, last: p.n, get position() { return Number(input.value); }, set(value) {
    made.value = value;
    input.value = Math.max(0, Math.min(p.n, p.of(value)));
    show();
  } };
  const show = () => {
    const text = numberText(made.value) + (knob.unit ? ` ${plainText(knob.unit)}` : "");
    readout.textContent = text;
    input.setAttribute("aria-valuetext", text);
    input.style.setProperty("--ndl-fill", `${100 * input.value / p.n}%`);
  };
  let held = false;
  input.addEventListener("pointerdown", () => { held = true; });
  for (const end of ["pointerup", "pointercancel", "blur"]) input.addEventListener(end, () => { held = false; });
  input.addEventListener("input", () => {
    let next = p.at(Number(input.value));
    const before = made.value;
    // Whole numbers on a log scale: several positions round to one value; an arrow key must not get stuck there.
    if (next === made.value && knob.integer && Number(input.value) !== p.of(made.value)) {
      const up = Number(input.value) > p.of(made.value);
      next = Math.min(knob.high, Math.max(knob.low, made.value + (up ? 1 : -1)));
      input.value = p.of(next);
    }
    if (next === made.value) return show();
    made.value = next;
    show();
    moved(next, held ? 0 : Math.sign(next - before));
  });
  made.node = element("div.ndl-control", {}, element("div.ndl-caption", {}, element("label", { for: id, title: hint(knob) }, caption(knob)), readout), input);
  made.set(knob.default);
  return made;
}

function choiceControl(knob, moved) {
  const words = knob.choices.map((c) => typeof c === "string" ? plainText(c.replaceAll("_", " ")) : numberText(c));
  const short = words.length <= 5 && words.join("").length <= 34;
  const made = { value: knob.default, node: null, set: null, serves: null };
  const id = freshId();
  if (!short) {
    const select = element("select.ndl-select", { id, title: hint(knob), "data-knob": knob.name, "data-lm-suppress-shortcuts": "true" },
      ...words.map((w, i) => element("option", { value: i }, w)));
    select.addEventListener("change", () => { made.value = knob.choices[select.value]; moved(made.value); });
    made.set = (value) => { made.value = value; select.value = knob.choices.indexOf(value); };
    made.serves = (can) => [...select.options].forEach((o, i) => { o.disabled = !can(knob.choices[i]); });
    made.node = element("div.ndl-control", {}, element("div.ndl-caption", {}, element("label", { for: id, title: hint(knob) }, caption(knob))), select);
  } else {
    const radios = words.map((w, i) => element("input", { type: "radio", name: id, id: `${id}-${i}`, value: i, "data-knob": knob.name,
      "data-lm-suppress-shortcuts": "true", onchange: () => { made.value = knob.choices[i]; moved(made.value); } }));
    made.set = (value) => { made.value = value; radios.forEach((r, i) => { r.checked = knob.choices[i] === value; }); };
    made.serves = (can) => radios.forEach((r, i) => { r.disabled = !can(knob.choices[i]); });
    made.node = element("fieldset.ndl-control", { title: hint(knob) }, element("legend.ndl-caption", {}, caption(knob)),
      element("div.ndl-segments", {}, ...radios.map((r, i) => element("span.ndl-segment", {}, r, element("label", { for: r.id }, words[i])))));
  }
  made.set(knob.default);
  return made;
}

function toggleControl(knob, moved) {
  const id = freshId(), input = element("input.ndl-switch", { id, type: "checkbox", role: "switch", title: hint(knob), "data-knob": knob.name,
    "data-lm-suppress-shortcuts": "true" });
  const word = element("span.ndl-value", { "aria-hidden": "true" });
  const made = { value: knob.default, node: null, set(value) { made.value = value; input.checked = value; word.textContent = value ? "on" : "off"; } };
  input.addEventListener("change", () => { made.set(input.checked); moved(made.value); });
  made.node = element("div.ndl-control", {}, element("div.ndl-caption", {}, element("label", { for: id, title: hint(knob) }, caption(knob))),
    element("div.ndl-switchrow", {}, input, word));
  made.set(knob.default);
  return made;
}

const ICONS = { run: "M4 2.5v11l9-5.5z", pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z", step: "M3 2.5v11l7-5.5zM11 2.5h2v11h-2z",
  reset: "M8 3V.8L4 4l4 3.2V5a4 4 0 1 1-4 4H2a6 6 0 1 0 6-6z" };

/** A button with an icon (drawn, so that no font is needed) and a word. */
export function button(word, { icon, title, onclick, pressed, kind = "" }) {
  const node = element(`button.ndl-button${kind ? `.ndl-${kind}` : ""}`, { type: "button", title, onclick, "aria-pressed": pressed,
    "data-lm-suppress-shortcuts": "true" });
  const text = element("span", {}, word);
  let path = null;
  if (icon) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", ICONS[icon]);
    svg.append(path);
    node.append(svg);
  }
  node.append(text);
  node.say = (newWord, newIcon, newTitle) => {
    if (text.textContent !== newWord) text.textContent = newWord;
    if (path) path.setAttribute("d", ICONS[newIcon]);
    node.title = newTitle;
  };
  return node;
}

/** A small field for the seed, a whole number, and a button that takes the next one. */
export function seedControl(value, moved) {
  const id = freshId();
  const input = element("input.ndl-seed", { id, type: "number", min: 0, max: 2 ** 53 - 1, step: 1, value, inputmode: "numeric",
    "data-lm-suppress-shortcuts": "true", title: "the number that all randomness of the run is made from; same seed, same run" });
  const made = { value, node: null, set(v) { made.value = v; input.value = v; } };
  const take = (v) => {
    if (!Number.isInteger(v) || v < 0 || v >= 2 ** 53) { input.value = made.value; return; }
    if (v === made.value) return;
    made.set(v);
    moved(v);
  };
  const typed = () => take(input.value === "" ? NaN : Number(input.value));
  input.addEventListener("change", typed);
  input.addEventListener("keydown", (e) => { if (e.key === "Enter") typed(); });
  made.node = element("span.ndl-seedrow", {}, element("label", { for: id }, "seed"), input,
    button("next", { title: "take the next seed and run again", onclick: () => take(made.value + 1), kind: "quiet" }));
  return made;
}
