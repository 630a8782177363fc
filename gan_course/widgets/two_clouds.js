// Two clouds of points in the plane: the exact critic of W1 between them, from an optimal assignment
// and dual potentials, and beside it a small network that trains in the page on the same points.

export const BOX = 2; // the points' coordinates lie between -BOX and BOX
export const REGULARIZERS = ["none", "clipping", "gradient penalty", "R1"];
export const EXTENSIONS = ["largest", "middle"];
export const STRENGTHS = { none: 0, clipping: 0.2, "gradient penalty": 10, R1: 1 }; // at first
export const LIMITS = { clipping: [0.01, 1], "gradient penalty": [0.1, 100], R1: [0.1, 100] };
export const WIDTH = 16; // of both hidden layers
export const STEPS = 600; // of training, that a press of the button brings
export const GRID = 41; // places a side, where slopes are sought
export const ALONG = 8; // places on each ray
export const ADAM = { rate: 0.01, decays: [0.5, 0.9], tiny: 1e-8 };
const SEED = 7;
const STRIDE = 2048; // random numbers set aside for each step
const GOLDEN = 0x9e3779b9;
const SPACING = 0.25; // of the level sets
const LINES = 24; // of them, at most
const FEW = 2; // levels that cross a cell where it is not steep
const PARTS = 4; // a side, of a cell at a steep place
const ARROWS = 9; // a side
const STEEP = 2; // slope from where on arrows no longer grow
const { sqrt, tanh } = Math;

const sum = (values) => values.reduce((total, value) => total + value, 0);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const norm = (x, y) => sqrt(x * x + y * y);
const between = (a, b) => norm(a[0] - b[0], a[1] - b[1]);

// ---------------------------------------------------------------- the exact critic

/** The column of each row in an assignment of least cost: shortest augmenting paths (the Hungarian method). */
export function assignment(cost) {
  const n = cost.length;
  const [u, v] = [new Float64Array(n + 1), new Float64Array(n + 1)];
  const row = new Int32Array(n + 1); // of each column, counted from 1; 0 is none
  const before = new Int32Array(n + 1);
  for (let i = 1; i <= n; i += 1) {
    const least = new Float64Array(n + 1).fill(Infinity);
    const done = new Uint8Array(n + 1);
    let column = 0;
    row[0] = i;
    do {
      done[column] = 1;
      const at = row[column];
      let [delta, next] = [Infinity, 0];
      for (let j = 1; j <= n; j += 1) {
        if (done[j]) continue;
        const slack = cost[at - 1][j - 1] - u[at] - v[j];
        if (slack < least[j]) [least[j], before[j]] = [slack, column];
        if (least[j] < delta) [delta, next] = [least[j], j];
      }
      for (let j = 0; j <= n; j += 1) {
        if (done[j]) {
          u[row[j]] += delta;
          v[j] -= delta;
        } else least[j] -= delta;
      }
      column = next;
    } while (row[column] !== 0);
    for (; column; column = before[column]) row[column] = row[before[column]];
  }
  const found = new Array(n);
  for (let j = 1; j <= n; j += 1) found[row[j] - 1] = j - 1;
  return found;
}

/**
 * W1, each data point's partner, and the values of one optimal critic at the points, in the middle of
 * all of them: f(a) - f(b) <= |a - b|, with equality from a data point to its partner, is what an optimal
 * critic is. Its largest with f(b) = 0 is the length of the shortest ways from b, its smallest minus that of the
 * ways back; their mean over all b is a solution, too. Its mean at the generated points is 0.
 */
export function exact(data, generated) {
  const n = data.length;
  const points = [...data, ...generated];
  const partner = assignment(data.map((x) => generated.map((y) => between(x, y))));
  const ways = points.map((b) => Float64Array.from(points, (a) => between(a, b))); // ways[b][a] >= f(a) - f(b)
  partner.forEach((j, i) => (ways[i][n + j] = -ways[n + j][i]));
  for (const middle of ways.keys())
    for (const from of ways) {
      const start = from[middle];
      for (let to = 0; to < 2 * n; to += 1) from[to] = Math.min(from[to], start + ways[middle][to]);
    }
  const raw = points.map((_, a) => sum(ways.map((from, b) => from[a] - ways[a][b])) / (4 * n));
  const level = sum(raw.slice(n)) / n;
  const w1 = sum(partner.map((j, i) => between(data[i], generated[j]))) / n;
  return { w1, partner, points, values: raw.map((value) => value - level) };
}

/** `at(x, y) -> [value, slope along x, along y]`: an exact critic on the whole plane, as the largest extension or the middle. */
export function extended({ points, values }, extension) {
  const cone = (sign, x, y) => {
    let [best, near, away] = [Infinity, 0, 0];
    for (let j = 0; j < points.length; j += 1) {
      const distance = norm(x - points[j][0], y - points[j][1]);
      const value = distance + sign * values[j];
      if (value < best) [best, near, away] = [value, j, distance];
    }
    const direction = away > 0 ? [(x - points[near][0]) / away, (y - points[near][1]) / away] : [0, 0];
    return [sign * best, sign * direction[0], sign * direction[1]];
  };
  if (extension === "largest") return (x, y) => cone(1, x, y);
  return (x, y) => {
    const low = cone(-1, x, y);
    return cone(1, x, y).map((value, i) => (value + low[i]) / 2);
  };
}

// ---------------------------------------------------------------- the network

// A row of parameters holds of each layer the weights, an output's side by side, then the biases.
const [B1, W2] = [2 * WIDTH, 3 * WIDTH];
const [B2, W3] = [W2 + WIDTH * WIDTH, W2 + WIDTH * WIDTH + WIDTH];
const B3 = W3 + WIDTH;
const COUNT = B3 + 1;
const [h1, h2, t1, c1, e1] = Array.from({ length: 5 }, () => new Float64Array(WIDTH)); // of one point
const slope = new Float64Array(2);

/** The value D at a point; leaves the hidden units in h1 and h2. */
function forward(p, x, y) {
  for (let j = 0; j < WIDTH; j += 1) h1[j] = tanh(p[2 * j] * x + p[2 * j + 1] * y + p[B1 + j]);
  let value = p[B3];
  for (let i = 0, k = W2; i < WIDTH; i += 1) {
    let u = p[B2 + i];
    for (let j = 0; j < WIDTH; j += 1, k += 1) u += p[k] * h1[j];
    h2[i] = tanh(u);
    value += p[W3 + i] * h2[i];
  }
  return value;
}

/** After `forward`: leaves the gradient in the point in `slope`, and gives its norm. */
function steepness(p) {
  c1.fill(0);
  for (let i = 0, k = W2; i < WIDTH; i += 1) {
    const a = p[W3 + i] * (1 - h2[i] * h2[i]);
    for (let j = 0; j < WIDTH; j += 1, k += 1) c1[j] += p[k] * a;
  }
  slope.fill(0);
  for (let j = 0; j < WIDTH; j += 1) {
    const a = c1[j] * (1 - h1[j] * h1[j]);
    slope[0] += a * p[2 * j];
    slope[1] += a * p[2 * j + 1];
  }
  return norm(slope[0], slope[1]);
}

/**
 * After `forward` at (x, y): adds to g the gradient in the parameters of alpha D + s · ∇D for a fixed s.
 *
 * s · ∇D is the tangent of D when the point moves along s. The tangents t1 of h1 and s2 du of h2 are taken
 * forward, and the value and the tangent are differentiated together in reverse: a belongs to the tangents'
 * preactivations, b to the values'. With s = dP/d∇D, this differentiates a penalty P of the gradient.
 */
function pull(p, x, y, alpha, sx, sy, g) {
  for (let j = 0; j < WIDTH; j += 1) t1[j] = (1 - h1[j] * h1[j]) * (p[2 * j] * sx + p[2 * j + 1] * sy);
  c1.fill(0);
  e1.fill(0);
  for (let i = 0; i < WIDTH; i += 1) {
    const row = W2 + i * WIDTH;
    let du = 0;
    for (let j = 0; j < WIDTH; j += 1) du += p[row + j] * t1[j];
    const s = 1 - h2[i] * h2[i];
    const a = p[W3 + i] * s;
    const b = a * (alpha - 2 * h2[i] * du);
    g[W3 + i] += alpha * h2[i] + s * du;
    g[B2 + i] += b;
    for (let j = 0; j < WIDTH; j += 1) {
      g[row + j] += a * t1[j] + b * h1[j];
      c1[j] += p[row + j] * a;
      e1[j] += p[row + j] * b;
    }
  }
  for (let j = 0; j < WIDTH; j += 1) {
    const s = 1 - h1[j] * h1[j];
    const a = s * c1[j];
    const b = s * e1[j] - 2 * h1[j] * t1[j] * c1[j];
    g[2 * j] += a * sx + b * x;
    g[2 * j + 1] += a * sy + b * y;
    g[B1 + j] += b;
  }
  g[B3] += alpha;
}

/** A bijective mixer of 32 bits. */
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Pseudo-random numbers in [0, 1), the same as in Python, bit for bit. */
const uniform = (number, i) => mix(mix(SEED + GOLDEN) + Math.imul(number * STRIDE + i, GOLDEN)) / 2 ** 32;

/** The parameters that training starts from, uniform on ±1/√inputs. */
export function initial() {
  return Float64Array.from({ length: COUNT }, (_, i) => (2 * uniform(0, i) - 1) / sqrt(i < W2 ? 2 : WIDTH));
}

/** Where a step penalizes gradients: on a random place between each data point and each generated one. */
export function places(data, generated, step) {
  const at = (x, y, a) => [a * x[0] + (1 - a) * y[0], a * x[1] + (1 - a) * y[1]];
  return data.flatMap((x, i) => generated.map((y, j) => at(x, y, uniform(step + 1, i * generated.length + j))));
}

/** Where the gradient is penalized at a step: between the clouds, of R1 on data, else nowhere. */
export function looked({ data, generated, regularizer }, step) {
  if (regularizer === "R1") return data;
  return regularizer === "gradient penalty" ? places(data, generated, step) : [];
}

const logistic = (t) => 1 / (1 + Math.exp(-t));
const softplus = (t) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));

/** What the network descends, and its gradient: the Wasserstein loss, or with R1 the minimax loss, and the penalty at `at`. */
export function objective(p, { data, generated, regularizer, strength }, at) {
  const g = new Float64Array(COUNT);
  let value = 0;
  const minimax = regularizer === "R1";
  for (const [points, sign] of [[data, -1], [generated, 1]])
    for (const [x, y] of points) {
      const d = forward(p, x, y);
      value += (minimax ? softplus(sign * d) : sign * d) / points.length;
      pull(p, x, y, (sign * (minimax ? logistic(sign * d) : 1)) / points.length, 0, 0, g);
    }
  for (const [x, y] of at) {
    forward(p, x, y);
    const size = steepness(p);
    const off = size - 1;
    value += (strength * (minimax ? (size * size) / 2 : off * off)) / at.length;
    const factor = (strength * (minimax ? 1 : size > 0 ? (2 * off) / size : 0)) / at.length;
    pull(p, x, y, 0, factor * slope[0], factor * slope[1], g);
  }
  return { value, gradient: g };
}

/** An untrained network and the state of Adam. */
export function untrained() {
  return { p: initial(), mean: new Float64Array(COUNT), square: new Float64Array(COUNT), step: 0 };
}

/** One step of Adam, and the clipping after it. */
export function descend(net, settings) {
  const { regularizer, strength } = settings;
  const { gradient } = objective(net.p, settings, looked(settings, net.step));
  const { rate, decays: [slow, fast], tiny } = ADAM;
  net.step += 1;
  const [first, second] = [1 - slow ** net.step, 1 - fast ** net.step];
  for (let i = 0; i < COUNT; i += 1) {
    net.mean[i] += (1 - slow) * (gradient[i] - net.mean[i]);
    net.square[i] += (1 - fast) * (gradient[i] * gradient[i] - net.square[i]);
    net.p[i] -= ((rate / first) * net.mean[i]) / (sqrt(net.square[i] / second) + tiny);
    if (regularizer === "clipping") net.p[i] = clamp(net.p[i], -strength, strength);
  }
}

/** Values and slopes on the grid, row by row from below, and the largest slope. */
export function surveyed(p) {
  const values = new Float64Array(GRID * GRID);
  let steepest = 0;
  for (let k = 0; k < values.length; k += 1) {
    values[k] = forward(p, place(k % GRID), place(Math.floor(k / GRID)));
    steepest = Math.max(steepest, steepness(p));
  }
  return { values, steepest };
}

const place = (i) => BOX * ((2 * i) / (GRID - 1) - 1);

/** What is read off the network: its gap, its largest slope on the grid, the gap over it, and its mean slope on the optimal rays. */
export function measured(p, { data, generated }, partner, { steepest }) {
  const mean = (points) => sum(points.map(([x, y]) => forward(p, x, y))) / points.length;
  const gap = mean(data) - mean(generated);
  const slopes = data.flatMap((x, i) => {
    const y = generated[partner[i]];
    if (between(x, y) === 0) return [];
    return Array.from({ length: ALONG }, (_, k) => {
      const t = (k + 0.5) / ALONG;
      forward(p, (1 - t) * x[0] + t * y[0], (1 - t) * x[1] + t * y[1]);
      return steepness(p);
    });
  });
  return { gap, level: mean(generated), steepest, scaled: steepest > 0 ? gap / steepest : 0, on_rays: sum(slopes) / slopes.length };
}

// ---------------------------------------------------------------- level sets

/** How far apart the level sets of a function are whose values spread over `reach`. */
export function spacing(reach) {
  let wide = SPACING;
  while (reach > LINES * wide) wide *= 2;
  return wide;
}

/**
 * Where a function on the grid, linear along the cells' edges, has the values middle + k wide: calls
 * `line(k, x0, y0, x1, y1)` for each piece, in cells of the grid from its lower left corner. With `value(x, y)`,
 * in these units, cells at steep places are divided into smaller ones, or level sets would look like stairs.
 */
export function contours(values, middle, wide, line, value = null) {
  const over = (side, each) => {
    for (let row = 0; row < side - 1; row += 1) for (let column = 0; column < side - 1; column += 1) each(column, row, row * side + column);
  };
  const corners = (found, side, k) => [found[k], found[k + 1], found[k + side + 1], found[k + side]]; // counterclockwise
  const crossing = (four) => [Math.min(...four), Math.max(...four)].map((end) => Math.floor((end - middle) / wide));
  const trace = (column, row, size, [a, b, c, d]) => {
    const [first, last] = crossing([a, b, c, d]);
    for (let n = first + 1; n <= last; n += 1) {
      const level = middle + n * wide;
      const [up, vp, wp, zp] = [a >= level, b >= level, c >= level, d >= level];
      const cut = [];
      if (up !== vp) cut.push(column + (size * (level - a)) / (b - a), row);
      if (vp !== wp) cut.push(column + size, row + (size * (level - b)) / (c - b));
      if (wp !== zp) cut.push(column + (size * (level - d)) / (c - d), row + size);
      if (zp !== up) cut.push(column, row + (size * (level - a)) / (d - a));
      if (cut.length === 4) line(n, cut[0], cut[1], cut[2], cut[3]);
      if (cut.length < 8) continue;
      // A saddle: its middle says which corners belong together.
      const [i, j] = (a + b + c + d) / 4 >= level === up ? [2, 6] : [6, 2];
      line(n, cut[0], cut[1], cut[i], cut[i + 1]);
      line(n, cut[4], cut[5], cut[j], cut[j + 1]);
    }
  };
  const divide = (column, row) => {
    const side = PARTS + 1;
    const found = Array.from({ length: side * side }, (_, k) => value(column + (k % side) / PARTS, row + Math.floor(k / side) / PARTS));
    over(side, (i, j, k) => trace(column + i / PARTS, row + j / PARTS, 1 / PARTS, corners(found, side, k)));
  };
  const fine = new Uint8Array(GRID * GRID); // cells beside a steep one, or their lines would break off
  if (value)
    over(GRID, (column, row, k) => {
      const [first, last] = crossing(corners(values, GRID, k));
      if (last - first <= FEW) return;
      for (let j = Math.max(0, row - 1); j <= row + 1; j += 1) for (let i = Math.max(0, column - 1); i <= column + 1; i += 1) fine[j * GRID + i] = 1;
    });
  over(GRID, (column, row, k) => {
    const four = corners(values, GRID, k);
    const [first, last] = crossing(four);
    if (first === last) return;
    if (fine[k]) divide(column, row);
    else trace(column, row, 1, four);
  });
}

// ---------------------------------------------------------------- words

const QUIET = 700; // milliseconds without a change before the numbers are spoken
const SIGNS = { none: "", clipping: "c", "gradient penalty": "λ", R1: "γ" };
const minus = (text) => text.replaceAll("-", "−");
const rounded = (value) => minus(Math.abs(value) < 1000 ? value.toFixed(value === 0 || Math.abs(value) >= 1e-3 ? 3 : 5) : value.toPrecision(4));
const show = (value) => (Number.isNaN(value) ? "–" : rounded(value));
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** What is to be said of the network beside the exact critic. */
export function verdict(step, w1, { gap, steepest }) {
  if (step === 0) return "The network is untrained: press Train.";
  if (gap > w1 + 1e-9) return "The network’s gap is larger than W₁, so it is not 1-Lipschitz.";
  if (steepest > 1 + 1e-9) return "The network’s gap is at most W₁, but it is not 1-Lipschitz: somewhere it is steeper than 1.";
  return "The network is nowhere on the grid steeper than 1, and its gap is at most W₁.";
}

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
const NUDGE = 0.05;
const TICKS = [-2, -1, 0, 1, 2];
const SIDES = { data: "Data", generated: "Generated" };
let instances = 0;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect", "clipPath", "defs"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
}

/** A data point is round, a generated one square. */
const mark = (side) => (side === "data" ? make("circle", { r: 6 }) : make("rect", { x: -5.5, y: -5.5, width: 11, height: 11 }));

/** A square of the plane with a critic's level sets and gradients. */
class Panel {
  constructor(attributes) {
    const id = `gc-square-${(instances += 1)}`;
    this.clip = make("rect");
    this.axes = make("g");
    this.levels = { upper: make("path", { class: "gc-levels gc-data" }), middle: make("path", { class: "gc-levels gc-middle" }), lower: make("path", { class: "gc-levels gc-generator" }) };
    this.arrows = make("path", { class: "gc-slopes" });
    this.front = make("g");
    const inside = make("g", { "clip-path": `url(#${id})` }, ...Object.values(this.levels), this.arrows);
    const picture = make("g", { "aria-hidden": "true" }, this.axes, inside, this.front);
    this.svg = make("svg", { class: "gc-plot", ...attributes }, make("defs", {}, make("clipPath", { id }, this.clip)), picture);
  }

  resize(width) {
    const [left, top, right, bottom] = [24, 6, 8, 20];
    const side = width - left - right;
    this.width = width;
    this.corner = [left, top];
    this.unit = side / (2 * BOX);
    set(this.svg, { width, height: side + top + bottom, viewBox: `0 0 ${width} ${side + top + bottom}` });
    const frame = { x: left, y: top, width: side, height: side };
    set(this.clip, frame);
    this.axes.replaceChildren(make("rect", { ...frame, class: "gc-frame" }));
    for (const tick of TICKS) {
      const [x, y] = this.at([tick, tick]);
      this.axes.append(make("text", { x, y: top + side + 15, "text-anchor": "middle" }, minus(String(tick))));
      this.axes.append(make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, minus(String(tick))));
    }
  }

  at([x, y]) {
    return [this.corner[0] + (x + BOX) * this.unit, this.corner[1] + (BOX - y) * this.unit];
  }

  under(event) {
    const { left, top } = this.svg.getBoundingClientRect();
    return [(event.clientX - left - this.corner[0]) / this.unit - BOX, BOX - (event.clientY - top - this.corner[1]) / this.unit];
  }

  /** Level sets through the values on the grid, counted from the middle of both means, and arrows along `gradient(x, y)`. */
  drawCritic(values, middle, value, gradient) {
    const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    this.wide = spacing(high - low);
    const cell = (2 * BOX * this.unit) / (GRID - 1);
    const [x0, y0] = [this.corner[0], this.corner[1] + 2 * BOX * this.unit];
    const parts = { upper: [], middle: [], lower: [] };
    contours(values, middle, this.wide, (n, ax, ay, bx, by) => {
      const into = n > 0 ? parts.upper : n < 0 ? parts.lower : parts.middle;
      into.push(`M${(x0 + ax * cell).toFixed(1)} ${(y0 - ay * cell).toFixed(1)}L${(x0 + bx * cell).toFixed(1)} ${(y0 - by * cell).toFixed(1)}`);
    }, (column, row) => value(place(column), place(row)));
    for (const [name, path] of Object.entries(this.levels)) set(path, { d: parts[name].join("") });
    const apart = (2 * BOX) / ARROWS;
    const line = [];
    for (let k = 0; k < ARROWS * ARROWS; k += 1) {
      const [x, y] = [apart * ((k % ARROWS) + 0.5) - BOX, apart * (Math.floor(k / ARROWS) + 0.5) - BOX];
      line.push(this.arrow([x, y], gradient(x, y)));
    }
    set(this.arrows, { d: line.join("") });
  }

  /** Slope 1 has half the length of the steepest arrows. */
  arrow(place, [gx, gy]) {
    const size = norm(gx, gy);
    if (!(size > 0.01)) return "";
    const length = (0.9 * (2 * BOX * this.unit) * Math.min(size, STEEP)) / (ARROWS * STEEP);
    const [x, y] = this.at(place);
    const [dx, dy] = [gx / size, -gy / size];
    const [tipX, tipY] = [x + (dx * length) / 2, y + (dy * length) / 2];
    const head = Math.min(4, 0.45 * length);
    const barb = (side) => `${(tipX - head * (dx - side * 0.6 * dy)).toFixed(1)} ${(tipY - head * (dy + side * 0.6 * dx)).toFixed(1)}`;
    return `M${(x - (dx * length) / 2).toFixed(1)} ${(y - (dy * length) / 2).toFixed(1)}L${tipX.toFixed(1)} ${tipY.toFixed(1)}M${barb(1)}L${tipX.toFixed(1)} ${tipY.toFixed(1)}L${barb(-1)}`;
  }
}

/** The exact critic, with the pairs of an optimal plan and the points to drag. */
class ExactPanel extends Panel {
  /** `onMove(side, index, point)`; `home` has the clouds to which the Home key takes a point back. */
  constructor({ state, home, onMove }) {
    super({ role: "group" });
    this.state = state;
    this.grip = null;
    this.chosen = 0;
    this.populate = () => {
      const now = state();
      this.handles?.forEach(({ node }) => node.remove());
      this.handles = Object.keys(SIDES).flatMap((side) => now[side].map((point, index) => this.handle(side, index, home[side][index] ?? point, onMove)));
      this.svg.append(...this.handles.map(({ node }) => node));
    };
    this.populate();
  }

  handle(side, index, home, onMove) {
    const reach = make("circle", { r: 15, class: "gc-reach" });
    const node = make("g", { class: `gc-handle gc-${side === "data" ? "data" : "generator"}`, role: "slider", "aria-roledescription": "point", "aria-valuemin": -BOX, "aria-valuemax": BOX }, reach, mark(side));
    const move = (point) => onMove(side, index, point.map((value) => clamp(Number(value.toFixed(3)), -BOX, BOX)));
    const here = () => this.state()[side][index];
    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.grip) return;
      this.grip = { id: event.pointerId, offset: this.under(event).map((value, i) => value - here()[i]) };
      node.setPointerCapture(event.pointerId);
      this.svg.classList.add("gc-dragging");
    });
    node.addEventListener("touchmove", (event) => event.cancelable && event.preventDefault(), { passive: false });
    node.addEventListener("pointermove", (event) => {
      if (event.pointerId === this.grip?.id) move(this.under(event).map((value, i) => value - this.grip.offset[i]));
    });
    for (const end of ["pointerup", "pointercancel"])
      node.addEventListener(end, (event) => {
        if (event.pointerId !== this.grip?.id) return;
        this.grip = null;
        this.svg.classList.remove("gc-dragging");
      });
    const own = { side, index, node };
    node.addEventListener("focus", () => this.choose(this.handles.indexOf(own)));
    node.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const far = NUDGE * (event.shiftKey ? 10 : 1);
      const by = { ArrowRight: [far, 0], ArrowLeft: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] }[event.key];
      const to = { PageDown: 1, PageUp: -1 }[event.key];
      if (!by && !to && event.key !== "Home") return;
      event.preventDefault();
      if (to) this.handles.at((this.handles.indexOf(own) + to) % this.handles.length).node.focus();
      else move(by ? here().map((value, i) => value + by[i]) : home);
    });
    return own;
  }

  /** The one chosen is the points' stop for the Tab key. */
  choose(which) {
    this.chosen = which;
    this.handles.forEach(({ node }, i) => node.setAttribute("tabindex", i === which ? 0 : -1));
  }

  draw({ data, generated, extension }, found) {
    const at = extended(found, extension);
    const values = Float64Array.from({ length: GRID * GRID }, (_, k) => at(place(k % GRID), place(Math.floor(k / GRID)))[0]);
    this.drawCritic(values, found.w1 / 2, (x, y) => at(x, y)[0], (x, y) => at(x, y).slice(1));
    const ray = (x, i) => {
      const [[x1, y1], [x2, y2]] = [this.at(x), this.at(generated[found.partner[i]])];
      return make("line", { x1, y1, x2, y2, class: "gc-ray", "data-from": i, "data-to": found.partner[i] });
    };
    this.front.replaceChildren(...data.map(ray));
    if (this.handles.length !== 2 * data.length) this.populate(); // a kernel may set other clouds
    for (const { side, index, node } of this.handles) {
      const point = { data, generated }[side][index];
      const [x, y] = this.at(point);
      set(node, {
        transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})`,
        "aria-label": `${SIDES[side]} point ${index + 1} of ${data.length}`,
        "aria-valuenow": point[0],
        "aria-valuetext": minus(`x = ${point[0].toFixed(2)}, y = ${point[1].toFixed(2)}`),
        "data-x": point[0],
        "data-y": point[1],
      });
    }
    this.choose(Math.min(this.chosen, this.handles.length - 1));
    this.svg.setAttribute("aria-label", `Exact critic, with ${plural(data.length, "data point")} and their partners among the generated ones; its gap is W1, ${show(found.w1)}. The arrow keys move a point, Page Down goes to the next, Home takes it back.`);
  }
}

/** The network's level sets and gradients, and the same points. */
class NetworkPanel extends Panel {
  constructor() {
    super({ role: "img" });
  }

  draw({ data, generated }, net, { values }, now, looks) {
    const value = (x, y) => forward(net.p, x, y);
    this.drawCritic(values, now.level + now.gap / 2, value, (x, y) => {
      forward(net.p, x, y);
      steepness(net.p);
      return slope;
    });
    const point = (side) => (place) => {
      const node = mark(side);
      set(node, { class: `gc-mark-point gc-${side === "data" ? "data" : "generator"}`, transform: `translate(${this.at(place).map((pixel) => pixel.toFixed(2)).join(" ")})` });
      return node;
    };
    const look = (place) => {
      const [cx, cy] = this.at(place);
      return make("circle", { cx: cx.toFixed(2), cy: cy.toFixed(2), r: 2.5, class: "gc-look", "data-x": place[0], "data-y": place[1] });
    };
    this.front.replaceChildren(...data.map(point("data")), ...generated.map(point("generated")), ...looks.map(look));
    this.svg.setAttribute("aria-label", `Network after ${plural(net.step, "step")}: gap ${show(now.gap)}, largest slope ${show(now.steepest)}, mean slope on the optimal rays ${show(now.on_rays)}.`);
  }
}

// ---------------------------------------------------------------- numbers and controls

const ROWS = [
  ["gap", "Gap between the means (exact: W₁)"],
  ["steepest", "Largest slope (network: on the grid)"],
  ["scaled", "Gap over largest slope"],
  ["on_rays", "Mean slope on the optimal rays"],
];

function readouts() {
  const cells = { w1: make("td", { "data-readout": "w1" }) };
  const rest = {}; // of the exact critic
  const rows = ROWS.map(([key, name]) => {
    cells[key] = make("td", { "data-readout": key });
    rest[key] = key === "gap" ? cells.w1 : make("td");
    return make("tr", {}, make("th", { scope: "row" }, name), rest[key], cells[key]);
  });
  const head = make("tr", {}, make("td"), ...["Exact", "Network"].map((name) => make("th", { scope: "col" }, name)));
  const table = make("table", { class: "gc-readout" }, make("thead", {}, head), make("tbody", {}, ...rows));
  const words = make("p", { class: "gc-said" });
  const update = (net, { w1 }, now) => {
    for (const [key, node] of Object.entries(cells)) {
      const value = key === "w1" ? w1 : now[key];
      node.textContent = show(value);
      node.dataset.value = value;
    }
    const slopes = w1 > 0 ? "1" : "–"; // without a ray, it may be level
    rest.steepest.textContent = slopes;
    rest.on_rays.textContent = slopes;
    rest.scaled.textContent = w1 > 0 ? show(w1) : "–";
    words.textContent = verdict(net.step, w1, now);
    words.dataset.net = net.step > 0 && now.steepest <= 1 + 1e-9;
  };
  return { nodes: [table, words], update };
}

/** Round numbers from one to another, and the one in force. */
export function ladder([low, high], now) {
  const rungs = [];
  for (let power = -3; power <= 3; power += 1)
    for (const digit of [1, 2, 5]) rungs.push(Number((digit * 10 ** power).toPrecision(1)));
  return [...new Set([...rungs.filter((rung) => rung >= low && rung <= high), now])].sort((a, b) => a - b);
}

function button(text, onClick, attributes = {}) {
  const node = make("button", { type: "button", class: "gc-button", ...attributes }, text);
  node.addEventListener("click", onClick);
  return node;
}

function select(trait, name, options, onChange) {
  const input = make("select", { "data-trait": trait, class: "gc-select" }, ...options.map((value) => make("option", { value }, value)));
  input.addEventListener("change", () => onChange(input.value));
  return { input, node: make("label", {}, name, input) };
}

/** The strength's list, whose entries go with the regularizer. */
function strengths(onChange) {
  const sign = make("i");
  const { input, node } = select("strength", make("span", {}, "Strength ", sign), [], (value) => onChange(Number(value)));
  let drawn = null;
  const update = ({ regularizer, strength }) => {
    const rungs = regularizer === "none" ? [] : ladder(LIMITS[regularizer], strength);
    const key = rungs.join();
    if (key !== drawn) {
      input.replaceChildren(...(rungs.length ? rungs : ["–"]).map((value) => make("option", { value }, String(value))));
      drawn = key;
    }
    input.disabled = !rungs.length;
    sign.textContent = SIGNS[regularizer];
    if (rungs.length) input.value = strength;
  };
  return { node, update };
}

/** Says the numbers once the hand is still. */
function announcer() {
  const node = make("p", { class: "gc-spoken", role: "status" });
  let timer = null;
  const say = (words) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      node.textContent = words();
    }, QUIET);
  };
  return { node, say, stop: () => clearTimeout(timer) };
}

const PACE = 2; // steps from one picture to the next
const SLICE = 8; // milliseconds of training at a time, at most

/**
 * Trains in slices until the steps that were asked for are done: `step()` does one, `shown()` is called after
 * a few, or where motion is unwelcome only at the end, and `counted()` after each slice.
 */
function trainer({ step, shown, counted }) {
  let [left, frame, timer] = [0, null, null];
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const slice = () => {
    frame = timer = null;
    const since = performance.now();
    const quiet = still();
    for (let done = 0; left > 0 && performance.now() - since < SLICE && (quiet || done < PACE); done += 1) {
      step();
      left -= 1;
    }
    counted();
    if (!quiet || left === 0) shown();
    plan();
  };
  const plan = () => {
    if (left === 0 || frame !== null || timer !== null) return;
    if (still()) timer = setTimeout(slice, 0);
    else frame = requestAnimationFrame(slice);
  };
  const stop = () => {
    const was = left > 0;
    left = 0;
    if (frame !== null) cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = timer = null;
    return was;
  };
  const start = (steps) => {
    left = steps;
    plan();
  };
  return { start, stop, running: () => left > 0 };
}

const STATE = ["data", "generated", "regularizer", "strength", "extension"];

function render({ model, el }) {
  /** The model's state; a strength that does not go with its regularizer gives way to a usual one. */
  const state = () => {
    const now = Object.fromEntries(STATE.map((key) => [key, model.get(key)]));
    const [low, high] = LIMITS[now.regularizer] ?? [0, 0];
    if (!(low <= now.strength && now.strength <= high)) now.strength = STRENGTHS[now.regularizer];
    return now;
  };
  const first = state();
  const usual = { ...STRENGTHS, [first.regularizer]: first.strength };
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  const spoken = announcer();
  let frame = null;
  let net = untrained();
  let law = null; // the regularizer and the strength of this network

  /** Told at once, or a kernel's answer to what was told before would undo it and start the network anew. */
  const choose = (changes) => {
    for (const [key, value] of Object.entries({ ...changes, touched: true })) model.set(key, value);
    model.save_changes();
  };
  const onMove = (side, index, point) => {
    model.set(side, model.get(side).map((old, i) => (i === index ? point : old)));
    model.set("touched", true);
    tell();
  };
  const exactPanel = new ExactPanel({ state, home: first, onMove });
  const networkPanel = new NetworkPanel();
  const { nodes: numbers, update: updateNumbers } = readouts();
  const titles = [make("p", { class: "gc-title" }, "Exact critic"), make("p", { class: "gc-title" })];
  const notes = [make("p", { class: "gc-fine" }), make("p", { class: "gc-fine" })];

  const found = () => exact(model.get("data"), model.get("generated"));
  const count = () => {
    titles[1].textContent = `Network, step ${net.step}`;
    train.textContent = training.running() ? "Pause" : "Train";
  };
  const draw = () => {
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    const settings = state();
    if (settings.data.length !== settings.generated.length) return; // between two messages of a kernel
    const now = found();
    const survey = surveyed(net.p);
    const read = measured(net.p, settings, now.partner, survey);
    const exactly = JSON.stringify([settings.data, settings.generated, settings.extension, exactPanel.width]);
    if (exactly !== exactPanel.drawn) exactPanel.draw(settings, now);
    exactPanel.drawn = exactly;
    const looks = looked(settings, net.step);
    networkPanel.draw(settings, net, survey, read, penalized.checked ? looks : []);
    penalized.disabled = !looks.length;
    updateNumbers(net, now, read);
    count();
    regularizers.input.value = settings.regularizer;
    extensions.input.value = settings.extension;
    force.update(settings);
    notes[0].textContent = `lines ${exactPanel.wide} apart`;
    notes[1].textContent = `lines ${networkPanel.wide} apart, ${settings.regularizer === "R1" ? "minimax" : "Wasserstein"} loss`;
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };
  const say = () =>
    spoken.say(() => {
      const { w1, partner } = found();
      const read = measured(net.p, state(), partner, surveyed(net.p));
      return `Step ${net.step}: gap ${show(read.gap)}, W1 ${show(w1)}, largest slope ${show(read.steepest)}. ${verdict(net.step, w1, read)}`;
    });
  const restart = () => {
    training.stop();
    net = untrained();
  };
  const changed = () => {
    const { regularizer, strength } = state();
    const now = `${regularizer} ${strength}`;
    if (now !== law) restart();
    law = now;
    schedule();
    say();
  };
  const training = trainer({
    step: () => descend(net, state()),
    shown: () => {
      draw();
      say();
    },
    counted: count,
  });

  const regularizers = select("regularizer", "Regularizer", REGULARIZERS, (regularizer) => choose({ regularizer, strength: usual[regularizer] }));
  const force = strengths((strength) => {
    usual[model.get("regularizer")] = strength;
    choose({ strength });
  });
  const extensions = select("extension", "Extension", EXTENSIONS, (extension) => choose({ extension }));
  const train = button("Train", () => {
    if (!training.stop()) training.start(STEPS);
    count();
    say();
  });
  const one = button("One step", () => {
    training.stop();
    descend(net, state());
    draw();
    say();
  });
  const penalized = make("input", { type: "checkbox" });
  penalized.addEventListener("change", schedule);
  const again = () => {
    restart();
    draw();
    say();
  };
  const reset = button("Reset all", () => {
    choose(first);
    Object.assign(usual, STRENGTHS, { [first.regularizer]: first.strength });
    again();
  });

  const row = (...nodes) => make("div", { class: "gc-row" }, ...nodes);
  const sign = (cls, text) => make("span", {}, make("span", { class: `gc-sign ${cls}`, "aria-hidden": "true" }), text);
  const swatch = (cls, text) => make("span", {}, make("span", { class: `gc-swatch ${cls}`, "aria-hidden": "true" }), text);
  const key = [
    [
      sign("gc-data-sign", "data"),
      sign("gc-generated-sign", "generated"),
      swatch("gc-ray-swatch", "optimal rays"),
      swatch("gc-critic gc-thin", "gradient"),
    ],
    [
      swatch("gc-middle-swatch", "level set halfway between the means"),
      swatch("gc-data gc-thin", "higher"),
      swatch("gc-generator gc-thin", "lower"),
    ],
  ].map((signs) => make("p", { class: "gc-key" }, ...signs));
  const holders = [exactPanel, networkPanel].map((panel) => make("div", {}, panel.svg));
  const part = (i, ...controls) => make("div", { class: "gc-part" }, titles[i], make("div", { class: "gc-settle" }, ...controls), holders[i], notes[i]);
  el.classList.add("gc", "gc-critics");
  // JupyterLab would take the arrow keys of a slider for its own shortcuts.
  el.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  el.append(
    make(
      "div",
      { class: "gc-parts" },
      part(0, row(extensions.node, reset)),
      part(1, row(regularizers.node, force.node), row(train, one, button("Restart network", again)), make("label", {}, penalized, "where the next step penalizes")),
    ),
    ...key,
    make("p", { class: "gc-fine" }, "Drag the points of the exact critic. Keys at a point: arrows move it, Page Down goes to the next, Home takes it back."),
    make("div", { class: "gc-outcome" }, ...numbers),
    spoken.node,
  );

  const panels = [exactPanel, networkPanel];
  const observer = new ResizeObserver(() => {
    panels.forEach((panel, i) => {
      const width = Math.floor(holders[i].clientWidth);
      if (width > 0 && width !== panel.width) panel.resize(width);
    });
    schedule();
  });
  panels.forEach((panel, i) => {
    panel.resize(340);
    observer.observe(holders[i]);
  });
  law = `${first.regularizer} ${first.strength}`;
  const events = STATE.map((name) => `change:${name}`);
  for (const event of events) model.on(event, changed);
  draw();
  return () => {
    observer.disconnect();
    training.stop();
    spoken.stop();
    for (const event of events) model.off(event, changed);
    if (frame !== null) cancelAnimationFrame(frame);
  };
}

export default { render };
