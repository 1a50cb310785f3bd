// One function per mark: draw it onto a canvas, given the panel's scales and a style. Nothing that is not finite is drawn.

const CIVIDIS = [[0, 34, 78], [8, 51, 112], [53, 69, 108], [79, 87, 108], [102, 105, 112], [125, 124, 120],
  [148, 142, 119], [174, 163, 113], [200, 184, 102], [229, 207, 82], [254, 232, 56]];

/** Colour of a number in [0, 1] on the heat map's scale, as [r, g, b]. */
export function heatColor(t) {
  const at = Math.min(1, Math.max(0, t)) * (CIVIDIS.length - 1), i = Math.min(CIVIDIS.length - 2, Math.floor(at));
  return CIVIDIS[i].map((c, k) => Math.round(c + (at - i) * (CIVIDIS[i + 1][k] - c)));
}

/** The numbers behind a name such as "y" or "history.loss": {data, shape}; empty when there are none yet. */
export function lookup(frame, name) {
  if (name.startsWith("history.")) {
    const data = frame.history[name.slice(8)] ?? new Float32Array(0);
    return { data, shape: [data.length] };
  }
  return frame.arrays[name] ?? { data: new Float32Array(0), shape: [0] };
}

/** The two lists of numbers that decide the range of the axes: {x: [arrays], y: [arrays]}. */
export function markExtents(mark, frame) {
  const get = (name) => lookup(frame, name).data;
  if (mark.kind === "rule") return mark.axis === "y" ? { x: [], y: [[mark.value]] } : { x: [[mark.value]], y: [] };
  if (mark.kind === "band") return { x: [get(mark.x)], y: [get(mark.low), get(mark.high)] };
  if (mark.kind === "bars") {
    const x = get(mark.x), half = 0.5 * barWidth(x);
    return { x: x.length ? [[Math.min(...x) - half, Math.max(...x) + half]] : [], y: [get(mark.y), [0]] };
  }
  if (mark.kind === "heatmap") return { x: [edges(get(mark.x))], y: [edges(get(mark.y))] };
  return { x: [get(mark.x)], y: [get(mark.y)] };
}

function barWidth(x) {
  let gap = Infinity;
  for (let i = 1; i < x.length; i++) if (x[i] !== x[i - 1]) gap = Math.min(gap, Math.abs(x[i] - x[i - 1]));
  return 0.8 * (Number.isFinite(gap) ? gap : 1);
}

/** Cell edges around n centres. */
export function edges(centres) {
  const n = centres.length;
  if (n === 0) return [];
  if (n === 1) return [centres[0] - 0.5, centres[0] + 0.5];
  const found = [centres[0] - (centres[1] - centres[0]) / 2];
  for (let i = 1; i < n; i++) found.push((centres[i - 1] + centres[i]) / 2);
  found.push(centres[n - 1] + (centres[n - 1] - centres[n - 2]) / 2);
  return found;
}

/** Trace a curve; a gap where a point has no place. Long curves keep the lowest and highest point per pixel. */
export function trace(ctx, xs, ys, sx, sy, from = 0, count = Math.min(xs.length, ys.length - from)) {
  let open = false;
  const point = (x, y) => {
    if (Number.isFinite(x) && Number.isFinite(y)) { open ? ctx.lineTo(x, y) : ctx.moveTo(x, y); open = true; }
    else open = false;
  };
  if (count < 3000) {
    for (let i = 0; i < count; i++) point(sx(xs[i]), sy(ys[from + i]));
    return;
  }
  let column = NaN, low = Infinity, high = -Infinity;
  const flush = () => { if (low <= high) { point(column, low); if (high > low) point(column, high); } };
  for (let i = 0; i < count; i++) {
    const x = Math.round(sx(xs[i]) * 2) / 2, y = sy(ys[from + i]);
    if (x !== column) { flush(); column = x; low = Infinity; high = -Infinity; }
    if (Number.isFinite(y)) { low = Math.min(low, y); high = Math.max(high, y); } else { flush(); open = false; low = Infinity; high = -Infinity; }
  }
  flush();
}

function stroke(ctx, style, width = style.width) {
  ctx.strokeStyle = style.color;
  ctx.lineWidth = width;
  ctx.setLineDash(style.dash);
  ctx.lineJoin = "round";
  ctx.stroke();
  ctx.setLineDash([]);
}

function marker(ctx, shape, x, y, r) {
  if (shape === "o") { ctx.moveTo(x + r, y); ctx.arc(x, y, r, 0, 2 * Math.PI); }
  else if (shape === "s") ctx.rect(x - r, y - r, 2 * r, 2 * r);
  else if (shape === "^") { ctx.moveTo(x, y - 1.3 * r); ctx.lineTo(x + 1.2 * r, y + r); ctx.lineTo(x - 1.2 * r, y + r); ctx.closePath(); }
  else if (shape === "D") { ctx.moveTo(x, y - 1.4 * r); ctx.lineTo(x + 1.4 * r, y); ctx.lineTo(x, y + 1.4 * r); ctx.lineTo(x - 1.4 * r, y); ctx.closePath(); }
  else { ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r); ctx.moveTo(x - r, y + r); ctx.lineTo(x + r, y - r); }
}

const FEW = 4;          // so few points are marks ("your step"), not a cloud: they are drawn to be found

const DRAW = {
  line(ctx, m, get, s, style) {
    ctx.beginPath();
    trace(ctx, get(m.x).data, get(m.y).data, s.x, s.y);
    stroke(ctx, style);
    const n = Math.min(get(m.x).data.length, get(m.y).data.length);
    if (n === 1) DRAW.points(ctx, m, get, s, style);               // a curve's very first point is seen too
  },
  points(ctx, m, get, s, style) {
    const x = get(m.x).data, y = get(m.y).data, n = Math.min(x.length, y.length), few = n <= FEW && m.kind === "points" && !m.key;
    const r = n > 800 ? 1.6 : few ? 4.5 : 2.4;
    ctx.beginPath();
    for (let i = 0; i < n; i++) {
      const px = s.x(x[i]), py = s.y(y[i]);
      if (Number.isFinite(px) && Number.isFinite(py)) marker(ctx, style.marker, px, py, r);
    }
    ctx.globalAlpha *= few ? 0.95 : 0.6;
    if (style.marker === "x") stroke(ctx, { ...style, dash: [] }, few ? 2.2 : 1.2);
    else { ctx.fillStyle = style.color; ctx.fill(); }
  },
  paths(ctx, m, get, s, style) {
    const x = get(m.x).data, { data, shape } = get(m.y), n = shape[shape.length - 1] || 0;
    ctx.globalAlpha *= 0.5;
    for (let p = 0; n && p * n < data.length; p++) {
      ctx.beginPath();
      trace(ctx, x, data, s.x, s.y, p * n, Math.min(n, x.length));
      stroke(ctx, style, 0.9);
    }
  },
  bars(ctx, m, get, s, style) {
    const x = get(m.x).data, y = get(m.y).data, half = barWidth(x) / 2;
    const zero = s.y(0), floor = Number.isFinite(zero) ? zero : s.box.y + s.box.h;
    for (let i = 0; i < Math.min(x.length, y.length); i++) {
      const left = s.x(x[i] - half), right = s.x(x[i] + half), top = s.y(y[i]);
      if (![left, right, top].every(Number.isFinite)) continue;
      if (style.ghost) {
        ctx.strokeStyle = style.color; ctx.lineWidth = 1.2; ctx.setLineDash([3, 3]);
        ctx.strokeRect(left, Math.min(top, floor), right - left, Math.abs(floor - top));
        ctx.setLineDash([]);
      } else {
        ctx.fillStyle = style.color;
        ctx.fillRect(left, Math.min(top, floor), right - left, Math.abs(floor - top));
      }
    }
  },
  band(ctx, m, get, s, style) {
    const x = get(m.x).data, low = get(m.low).data, high = get(m.high).data, up = [], down = [];
    for (let i = 0; i < x.length; i++) {
      const px = s.x(x[i]), a = s.y(low[i]), b = s.y(high[i]);
      if ([px, a, b].every(Number.isFinite)) { up.push([px, b]); down.push([px, a]); }
    }
    if (!up.length) return;
    ctx.beginPath();
    [...up, ...down.reverse()].forEach(([px, py], i) => i ? ctx.lineTo(px, py) : ctx.moveTo(px, py));
    ctx.closePath();
    ctx.globalAlpha *= 0.22;
    ctx.fillStyle = style.color;
    ctx.fill();
  },
  rule(ctx, m, get, s, style) {
    const at = (m.axis === "y" ? s.y : s.x)(m.value), { x, y, w, h } = s.box;
    if (!Number.isFinite(at)) return;
    ctx.beginPath();
    if (m.axis === "y") { ctx.moveTo(x, at); ctx.lineTo(x + w, at); } else { ctx.moveTo(at, y); ctx.lineTo(at, y + h); }
    stroke(ctx, style, 1.3);
  },
  arrows(ctx, m, get, s, style) {
    const [x, y, u, v] = [m.x, m.y, m.u, m.v].map((n) => get(n).data), n = x.length, spots = [];
    let longest = 0;
    for (let i = 0; i < n; i++) {
      const px = s.x(x[i]), py = s.y(y[i]), dx = s.x(x[i] + u[i]) - px, dy = s.y(y[i] + v[i]) - py;
      if ([px, py, dx, dy].every(Number.isFinite)) { spots.push([px, py, dx, dy]); longest = Math.max(longest, Math.hypot(dx, dy)); }
    }
    const reach = 0.9 * Math.sqrt(s.box.w * s.box.h / Math.max(1, n)) / (longest || 1);
    ctx.beginPath();
    for (const [px, py, dx, dy] of spots) {
      const ex = px + dx * reach, ey = py + dy * reach, angle = Math.atan2(dy, dx), head = Math.min(5, 0.4 * Math.hypot(dx, dy) * reach);
      ctx.moveTo(px, py); ctx.lineTo(ex, ey);
      for (const turn of [2.6, -2.6]) { ctx.moveTo(ex, ey); ctx.lineTo(ex + head * Math.cos(angle + turn), ey + head * Math.sin(angle + turn)); }
    }
    stroke(ctx, { ...style, dash: [] }, 1.1);
  },
  heatmap(ctx, m, get, s) {
    const z = get(m.z), ex = edges(get(m.x).data).map(s.x), ey = edges(get(m.y).data).map(s.y);
    const [low, high] = heatRange(m, z.data), columns = ex.length - 1;
    for (let i = 0; i < z.data.length; i++) {
      const c = i % columns, r = Math.floor(i / columns), t = (z.data[i] - low) / (high - low);
      if (![t, ex[c], ex[c + 1], ey[r], ey[r + 1]].every(Number.isFinite)) continue;
      ctx.fillStyle = `rgb(${heatColor(t)})`;
      // Half a pixel more: no seams between cells.
      ctx.fillRect(ex[c], Math.min(ey[r], ey[r + 1]), ex[c + 1] - ex[c] + 0.5, Math.abs(ey[r + 1] - ey[r]) + 0.5);
    }
  },
};

/** The colour range of a heat map: what the mark fixes, else the data. */
export function heatRange(mark, data) {
  let low = Infinity, high = -Infinity;
  for (const v of data) if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  low = mark.low ?? (low <= high ? low : 0);
  high = mark.high ?? (low <= high ? high : 1);
  return high > low ? [low, high] : [low, low + 1];
}

/** Draw one mark. `s` = {x, y, box}; style = {color, dash, width, marker, ghost}. */
export function drawMark(ctx, mark, frame, s, style) {
  ctx.save();
  if (style.ghost) ctx.globalAlpha = 0.4;
  if (!(style.ghost && mark.kind === "heatmap")) DRAW[mark.kind](ctx, mark, (name) => lookup(frame, name), s, style);
  ctx.restore();
}
