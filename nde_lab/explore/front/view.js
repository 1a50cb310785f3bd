// A view and a frame onto a canvas: panels in columns, axes, marks, names beside the curves they belong to.

/** [r, g, b] of a CSS colour as getComputedStyle gives it, or of #rrggbb; null where there is none (transparent). */
export function rgb(color) {
  if (/^#[0-9a-f]{6}$/i.test(color)) return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  const found = /rgba?\(([^)]*)\)/.exec(color ?? "");
  if (!found) return null;
  const [r, g, b, a = 1] = found[1].split(/[\s,/]+/).filter(Boolean).map(Number);
  return a < 0.5 ? null : [r, g, b];
}

const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
export const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

/** The colour, moved towards the text colour until it stands out from the background (3 : 1; on dark 4.5 : 1). */
export function readable(color, ground, ink) {
  let c = rgb(color);
  const dark = luminance(ground) < 0.2;
  if (dark && Math.max(...c) < 48) return `rgb(${ink})`;             // black on white is white on black
  for (let i = 0; i < 12 && contrast(luminance(c), luminance(ground)) < (dark ? 4.5 : 3); i++) c = c.map((v, k) => v + 0.15 * (ink[k] - v));
  return `rgb(${c.map(Math.round)})`;
}

/** Colours and font that the page gives to `el` right now. */
export function paletteOf(el) {
  const css = getComputedStyle(el), value = (name) => css.getPropertyValue(name).trim();
  return { ink: value("--ndl-ink"), muted: value("--ndl-muted"), grid: value("--ndl-grid"), ground: value("--ndl-ground"),
    font: css.fontFamily };
}

const FONT = 12, TITLE = 13, NARROW = 520, GAP = 28;

/** Where the panels go for a width in CSS pixels: {boxes: [{x, y, w, h}], height}. One column on a narrow screen. */
export function layout(view, width) {
  const columns = width < NARROW ? 1 : Math.min(view.columns, view.panels.length);
  const w = (width - GAP * (columns - 1)) / columns;
  const h = Math.round(Math.min(360, Math.max(220, columns === 1 && width >= NARROW ? 0.46 * w : 0.88 * w)));
  const rows = Math.ceil(view.panels.length / columns);
  const boxes = view.panels.map((_, i) => ({ x: (i % columns) * (w + GAP), y: Math.floor(i / columns) * (h + GAP / 2), w, h }));
  return { boxes, height: rows * h + (rows - 1) * GAP / 2 };
}

/** A short name is written beside its mark where that can work: at the end of a curve or of a horizontal rule. */
const direct = (ctx, mark, room) => (mark.kind === "line" || (mark.kind === "rule" && mark.axis === "y"))
  && ctx.measureText(plainText(mark.label)).width <= room;

/**
 * Draw everything. `options`: {width, palette, steps, ghost: frame or null, memory: an object that this function keeps
 * its ranges in between frames}. The canvas transform must already map CSS pixels.
 */
export function drawView(ctx, view, frame, options) {
  const { boxes, height } = layout(view, options.width);
  ctx.fillStyle = options.palette.ground;
  ctx.fillRect(0, 0, options.width, height);
  const plans = view.panels.map((panel, i) => head(ctx, view, panel, boxes[i], options.palette));
  view.panels.forEach((panel, i) => {
    // Panels of one row begin their plots at one height.
    const below = Math.max(...plans.filter((_, j) => boxes[j].y === boxes[i].y).map((p) => p.height));
    drawPanel(ctx, view, panel, boxes[i], frame, options, i, plans[i], boxes[i].y + below);
  });
}

const fontOf = (palette, size, weight = "") => `${weight} ${size}px ${palette.font}`.trim();

/** What stands over a plot: the lines of its title and the names that find no place beside a curve; their height. */
function head(ctx, view, panel, box, palette) {
  ctx.font = fontOf(palette, TITLE, "600");
  const title = wrap(ctx, plainText(panel.title), box.w);
  ctx.font = fontOf(palette, FONT);
  const named = panel.marks.filter((m) => m.label && m.kind !== "heatmap");
  const short = box.w >= 340 && !panel.equal ? named.filter((m) => direct(ctx, m, 0.27 * box.w)) : [];
  const beside = short.length <= 5 ? short : [];
  const listed = named.filter((m) => !beside.includes(m)), top = 17 * title.length;
  return { title, beside, listed, height: legend(ctx, view, listed, { ...box, y: 0 }, top, palette, false) };
}

function styleOf(view, role, palette, ghost = false) {
  const style = view.roles[role] ?? view.roles.neutral;
  return { ...style, color: readable(style.color, rgb(palette.ground), rgb(palette.ink)), ghost };
}

function ranges(panel, frame, options, index) {
  const frames = options.ghost ? [frame, options.ghost] : [frame];
  const all = { x: [], y: [] };
  for (const f of frames) for (const m of panel.marks) {
    const e = markExtents(m, f);
    all.x.push(...e.x); all.y.push(...e.y);
  }
  const memory = options.memory, drawn = panel.marks.filter((m) => m.kind !== "rule");
  const cells = drawn.some((m) => m.kind === "heatmap");
  const overSteps = drawn.length > 0 && drawn.every((m) => m.x === "history.step");
  const found = {};
  for (const side of ["x", "y"]) {
    const axis = panel[side], key = `${index}${side}`;
    const log = axis.scale === "log";
    if (side === "x" && overSteps && axis.high == null) {
      found.x = fitRange([log ? 1 : 0, options.steps], { ...axis, low: axis.low ?? (log ? 1 : 0), high: options.steps });
      continue;
    }
    const tight = cells || (side === "x" && drawn.every((m) => ["line", "paths", "band"].includes(m.kind)));
    found[side] = fitRange(extent(all[side], log), axis, memory[key], tight ? 0 : 0.06);
    memory[key] = found[side];
  }
  return found;
}

function drawPanel(ctx, view, panel, box, frame, options, index, plan, top) {
  const { palette } = options, { beside } = plan, range = ranges(panel, frame, options, index);
  ctx.textBaseline = "alphabetic";
  ctx.fillStyle = palette.ink;
  ctx.font = fontOf(palette, TITLE, "600");
  plan.title.forEach((line, i) => ctx.fillText(line, box.x, box.y + 17 * (i + 1) - 3));
  ctx.font = fontOf(palette, FONT);
  legend(ctx, view, plan.listed, box, box.y + 17 * plan.title.length, palette);

  const heat = panel.marks.find((m) => m.kind === "heatmap");
  const bounds = heat ? heatRange(heat, lookup(frame, heat.z).data).map(numberText) : [];
  const right = heat ? 26 + Math.max(14, ...bounds.map((t) => ctx.measureText(t).width)) : beside.length
    ? Math.max(...beside.map((m) => ctx.measureText(plainText(m.label)).width)) + 12 : 10;
  const yTicks = panel.y.scale === "log" ? logTicks(...range.y, box.h / 45) : niceTicks(...range.y, box.h / 50);
  const left = Math.max(24, ...yTicks.map((v) => ctx.measureText(tickText(v)).width)) + 9 + (panel.y.label ? 18 : 0);
  const bars = panel.marks.find((m) => m.kind === "bars" && m.names?.length);
  // Names that do not fit side by side stand in two rows.
  const rows = bars && Math.max(...bars.names.map((n) => ctx.measureText(plainText(n)).width)) + 8 > (box.w - left - right) / bars.names.length ? 2 : 1;
  const foot = 38 + 15 * (rows - 1);
  let plot = { x: box.x + left, y: top + 8, w: box.w - left - right, h: box.y + box.h - top - 8 - foot };
  if (panel.equal) plot = square(plot, range);
  const xTicks = bars ? [...lookup(frame, bars.x).data] : panel.x.scale === "log"
    ? logTicks(...range.x, plot.w / 60) : niceTicks(...range.x, Math.max(4, plot.w / 75));
  const s = { x: scaler(range.x, panel.x.scale, plot.x, plot.x + plot.w),
    y: scaler(range.y, panel.y.scale, plot.y + plot.h, plot.y), box: plot };

  drawAxes(ctx, panel, plot, s, { xTicks, yTicks, names: bars?.names, rows, left }, box, palette);
  ctx.save();
  ctx.beginPath();
  ctx.rect(plot.x - 1, plot.y - 1, plot.w + 2, plot.h + 2);
  ctx.clip();
  if (options.ghost) {
    for (const m of panel.marks) if (m.kind !== "rule") drawMark(ctx, m, options.ghost, s, { ...styleOf(view, m.role, palette, true), dash: [] });
  }
  for (const m of panel.marks) drawMark(ctx, m, frame, s, styleOf(view, m.role ?? "neutral", palette));
  ctx.restore();
  if (heat) colorBar(ctx, heat, lookup(frame, heat.z).data, plot, palette);
  nameBeside(ctx, view, beside, frame, s, plot, box, palette);
}

/** The larger of the two units per pixel on both axes: circles look like circles. */
function square(plot, range) {
  const ux = (range.x[1] - range.x[0]) / plot.w, uy = (range.y[1] - range.y[0]) / plot.h;
  if (ux > uy) return { ...plot, y: plot.y + plot.h * (1 - uy / ux) / 2, h: plot.h * uy / ux };
  return { ...plot, x: plot.x + plot.w * (1 - ux / uy) / 2, w: plot.w * ux / uy };
}

export function wrap(ctx, text, width) {
  const lines = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && ctx.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function legend(ctx, view, marks, box, top, palette, draw = true) {
  let x = box.x, y = top;
  marks.forEach((m, i) => {
    const text = plainText(m.label), w = 26 + ctx.measureText(text).width;
    if (i === 0) y += 17;
    else if (x + w > box.x + box.w) { x = box.x; y += 17; }
    const at = x;
    x += w + 14;
    if (draw) legendEntry(ctx, view, m, text, at, y, palette);
  });
  return marks.length ? y + 3 : y;
}

function legendEntry(ctx, view, m, text, x, y, palette) {
  const style = styleOf(view, m.role ?? "neutral", palette), mid = y - 6;
  const key = { x: (v) => v, y: (v) => v, box: { x, y: mid - 6, w: 20, h: 10 } };
  const two = new Float32Array([x, x + 19]), flat = new Float32Array([mid, mid]);
  const sample = { history: {}, arrays: { x: { data: two, shape: [2] }, y: { data: flat, shape: [2] } } };
  if (m.kind === "points") { two[0] = x + 5; two[1] = x + 14; drawMark(ctx, { kind: "points", x: "x", y: "y", key: true }, sample, key, style); }
  else if (m.kind === "band" || m.kind === "bars") {
    ctx.save(); ctx.globalAlpha = m.kind === "band" ? 0.3 : 1; ctx.fillStyle = style.color; ctx.fillRect(x, mid - 5, 19, 10); ctx.restore();
  } else drawMark(ctx, { kind: "line", x: "x", y: "y" }, sample, key, style);
  ctx.fillStyle = palette.muted;
  ctx.fillText(text, x + 24, y - 2);
}

function drawAxes(ctx, panel, plot, s, { xTicks, yTicks, names, rows, left }, box, palette) {
  const bottom = plot.y + plot.h, inside = (at, from, to) => at >= from - 0.5 && at <= to + 0.5;
  ctx.lineWidth = 1;
  ctx.strokeStyle = palette.grid;
  ctx.fillStyle = palette.muted;
  ctx.textAlign = "right";
  for (const v of yTicks) {
    const at = Math.round(s.y(v)) + 0.5;
    if (!inside(at, plot.y, bottom)) continue;
    ctx.beginPath(); ctx.moveTo(plot.x, at); ctx.lineTo(plot.x + plot.w, at); ctx.stroke();
    ctx.fillText(tickText(v), plot.x - 7, at + 4);
  }
  ctx.textAlign = "center";
  const free = Array(rows).fill(-Infinity);
  xTicks.forEach((v, i) => {
    const at = s.x(v), text = plainText(names?.[i] ?? tickText(v)), half = ctx.measureText(text).width / 2;
    if (!inside(at, plot.x, plot.x + plot.w)) return;
    ctx.beginPath(); ctx.moveTo(Math.round(at) + 0.5, bottom); ctx.lineTo(Math.round(at) + 0.5, bottom + 4); ctx.stroke();
    const centre = Math.min(at, box.x + box.w - half);
    if (centre - half < free[i % rows] + 6) return;                  // no two numbers on top of each other
    ctx.fillText(text, centre, bottom + 17 + 15 * (i % rows));
    free[i % rows] = centre + half;
  });
  ctx.strokeStyle = palette.muted;
  ctx.beginPath(); ctx.moveTo(plot.x + 0.5, plot.y); ctx.lineTo(plot.x + 0.5, bottom + 0.5); ctx.lineTo(plot.x + plot.w, bottom + 0.5); ctx.stroke();
  ctx.fillStyle = palette.ink;
  const said = (axis) => plainText(axis.label) + (axis.scale === "log" && !/\blog\b/.test(axis.label) ? " (log)" : "");
  ctx.fillText(said(panel.x), plot.x + plot.w / 2, bottom + 19 + 15 * rows);
  if (panel.y.label) {
    ctx.save(); ctx.translate(plot.x - left + 11, plot.y + plot.h / 2); ctx.rotate(-Math.PI / 2); ctx.fillText(said(panel.y), 0, 0); ctx.restore();
  }
  ctx.textAlign = "left";
}

function colorBar(ctx, mark, data, plot, palette) {
  const [low, high] = heatRange(mark, data), x = plot.x + plot.w + 10, n = Math.max(2, Math.round(plot.h));
  for (let i = 0; i < n; i++) { ctx.fillStyle = `rgb(${heatColor(1 - i / (n - 1))})`; ctx.fillRect(x, plot.y + i, 10, 1.5); }
  ctx.fillStyle = palette.muted;
  ctx.fillText(numberText(high), x + 14, plot.y + 10);
  ctx.fillText(numberText(low), x + 14, plot.y + plot.h);
  if (!mark.label) return;
  ctx.save(); ctx.translate(x + 27, plot.y + plot.h / 2); ctx.rotate(-Math.PI / 2); ctx.textAlign = "center";
  ctx.fillText(plainText(mark.label), 0, 0); ctx.restore();
}

/** Names right of the last point of their curves, pushed apart where they would overlap. */
function nameBeside(ctx, view, marks, frame, s, plot, box, palette) {
  const tags = [];
  for (const m of marks) {
    let px = plot.x + plot.w, py = NaN;
    if (m.kind === "rule") py = s.y(m.value);
    else {
      const x = lookup(frame, m.x).data, y = lookup(frame, m.y).data;
      for (let i = Math.min(x.length, y.length) - 1; i >= 0 && !Number.isFinite(py); i--) { px = s.x(x[i]); py = s.y(y[i]); }
    }
    if (!Number.isFinite(px) || !Number.isFinite(py)) continue;
    const text = plainText(m.label), w = ctx.measureText(text).width;
    tags.push({ text, w, x: Math.min(px, plot.x + plot.w, box.x + box.w - w - 6) + 6,
      y: Math.min(plot.y + plot.h, Math.max(plot.y + 9, py + 4)), color: styleOf(view, m.role, palette).color });
  }
  spread(tags, 14, plot.y + 9, plot.y + plot.h);
  for (const t of tags) {
    ctx.lineWidth = 3; ctx.strokeStyle = palette.ground; ctx.lineJoin = "round";
    ctx.strokeText(t.text, t.x, t.y);                                // a halo, so that a curve behind it does not disturb
    ctx.fillStyle = t.color;
    ctx.fillText(t.text, t.x, t.y);
  }
}

/** Push tags {y} apart to at least `gap`, inside [low, high] as far as there is room. Changes them in place. */
export function spread(tags, gap, low, high) {
  tags.sort((a, b) => a.y - b.y);
  for (let i = 1; i < tags.length; i++) tags[i].y = Math.max(tags[i].y, tags[i - 1].y + gap);
  let limit = high;
  for (let i = tags.length - 1; i >= 0; i--) { tags[i].y = Math.min(tags[i].y, limit); limit = tags[i].y - gap; }
  return tags;
}
