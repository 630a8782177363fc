// Random features that stand for a delta on the line: the sum of them with the best weights, its error
// and the size of the weights, as features are added one by one.

export const LIMITS = { width: [1, 60], scale: [0.5, 10], ridge: [1e-8, 1e-2] };
export const BUMPS = [0.03, 10]; // standard deviations of the bump
export const SPACING = 0.03; // of the grid for Z
export const REACH = 6;
export const VIEW = 3; // the picture goes from -VIEW to VIEW
const GOLDEN = 0x9e3779b9;
const DENSITY = 1 / Math.sqrt(2 * Math.PI); // of Z at 0
const SCALE = Math.sqrt(1 + 3); // the test functions' ball has radius 1 / SCALE

// ---------------------------------------------------------------- the features

/** A bijective mixer of 32 bits. */
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The two numbers of feature i, by Box and Muller: standard normal, the same as in Python. */
export function normals(seed, i) {
  const start = mix(seed + GOLDEN);
  const [u, v] = [2 * i, 2 * i + 1].map((at) => mix(start + Math.imul(at, GOLDEN)) / 2 ** 32);
  const length = Math.sqrt(-2 * Math.log1p(-u));
  return [length * Math.cos(2 * Math.PI * v), length * Math.sin(2 * Math.PI * v)];
}

/** Feature i is tanh(w z + b). */
export function feature({ scale, constant, seed }, i) {
  if (constant && i === 0) return { w: 0, b: 50 };
  const [w, b] = normals(seed, i);
  return { w: scale * w, b: scale * b };
}

/** The sum of features with weights, at z. */
export function sum(weights, features, z) {
  return weights.reduce((total, weight, i) => total + weight * Math.tanh(features[i].w * z + features[i].b), 0);
}

// ---------------------------------------------------------------- the fit

const HALF = Math.ceil(REACH / SPACING);
const POINTS = Float64Array.from({ length: 2 * HALF + 1 }, (_, i) => SPACING * (i - HALF));
const MASSES = POINTS.map((z) => Math.exp(-z * z / 2));
const TOTAL = MASSES.reduce((total, mass) => total + mass, 0);
MASSES.forEach((mass, i) => (MASSES[i] = mass / TOTAL));

/** The upper triangular R with R'R the matrix of Matern's kernel (1 + u) exp(-u), u = √3 |z - w|, row by row. */
function cholesky() {
  const q = POINTS.length;
  const s = new Float64Array(q * q);
  for (let i = 0; i < q; i += 1)
    for (let j = i; j < q; j += 1) {
      const u = Math.sqrt(3) * (POINTS[j] - POINTS[i]);
      s[i * q + j] = (1 + u) * Math.exp(-u) + (i === j ? 1e-13 : 0);
    }
  for (let k = 0; k < q; k += 1) {
    const pivot = Math.sqrt(s[k * q + k]);
    for (let j = k; j < q; j += 1) s[k * q + j] /= pivot;
    for (let i = k + 1; i < q; i += 1) {
      const factor = s[k * q + i];
      for (let j = i; j < q; j += 1) s[i * q + j] -= factor * s[k * q + j];
    }
  }
  return s;
}

let root = null;

/** A measure on the grid, as a vector whose length is the largest integral of a test function against it. */
function embedded(measure) {
  root ??= cholesky();
  const q = POINTS.length;
  const out = new Float64Array(q);
  for (let i = 0; i < q; i += 1) {
    let total = 0;
    for (let j = i; j < q; j += 1) total += root[i * q + j] * measure[j];
    out[i] = total / SCALE;
  }
  return out;
}

const delta = () => embedded(POINTS.map((_, i) => (i === HALF ? DENSITY : 0)));
const dot = (a, b) => {
  let total = 0;
  for (let i = 0; i < a.length; i += 1) total += a[i] * b[i];
  return total;
};

/** x + factor * y, in the place of x. */
function add(x, factor, y) {
  for (let i = 0; i < y.length; i += 1) x[i] += factor * y[i];
}

/**
 * Least squares with a ridge, column by column: Householder reflections of the columns, each with the
 * root of the ridge in a row of its own below, so that a new column changes nothing in the older ones.
 */
export class Fit {
  constructor(settings) {
    this.settings = settings;
    this.features = [];
    this.columns = [];
    this.reflectors = [];
    this.triangle = []; // columns of the triangular factor
    this.goal = delta();
    this.turned = Float64Array.from({ length: POINTS.length + LIMITS.width[1] }, (_, i) => this.goal[i] ?? 0);
    this.steps = []; // for each width: weights, error, size
  }

  /** What is known for this many features. */
  at(width) {
    while (this.steps.length < width) this.grow();
    return this.steps[width - 1];
  }

  grow() {
    const n = this.columns.length;
    const { w, b } = feature(this.settings, n);
    this.features.push({ w, b });
    const column = embedded(POINTS.map((z, i) => MASSES[i] * Math.tanh(w * z + b)));
    this.columns.push(column);
    const long = Float64Array.from(this.turned, (_, i) => column[i] ?? 0);
    long[column.length + n] = Math.sqrt(this.settings.ridge);
    this.reflectors.forEach((v, i) => this.reflect(v, i, long));
    const length = Math.sqrt(dot(long.subarray(n), long.subarray(n)));
    const diagonal = long[n] > 0 ? -length : length;
    this.triangle.push([...long.subarray(0, n), diagonal]);
    const v = long.slice(n);
    v[0] -= diagonal;
    const norm = Math.sqrt(dot(v, v));
    this.reflectors.push(v.map((value) => value / norm));
    this.reflect(this.reflectors[n], n, this.turned);
    this.steps.push(this.measured(this.solved()));
  }

  /** Mirror x, from its place `from` on, in the plane orthogonal to v. */
  reflect(v, from, x) {
    const part = x.subarray(from);
    add(part, -2 * dot(v, part), v);
  }

  solved() {
    const weights = Array.from(this.turned.subarray(0, this.triangle.length));
    for (let i = weights.length - 1; i >= 0; i -= 1) {
      weights[i] /= this.triangle[i][i];
      for (let j = 0; j < i; j += 1) weights[j] -= this.triangle[i][j] * weights[i];
    }
    return weights;
  }

  measured(weights) {
    const gap = this.goal.slice();
    weights.forEach((weight, i) => add(gap, -weight, this.columns[i]));
    return { weights, error: Math.sqrt(dot(gap, gap)), size: weights.reduce((total, weight) => total + Math.abs(weight), 0) };
  }
}

export const bump = (z, s) => (DENSITY / s) * Math.exp(-((z / s) ** 2) / 2);

/** What a bump in the place of the delta is wrong by. */
export function bumpError(s) {
  const gap = embedded(POINTS.map((z, i) => MASSES[i] * bump(z, s) - (i === HALF ? DENSITY : 0)));
  return Math.sqrt(dot(gap, gap));
}

/** Standard deviation of the bump with this error, or the nearest one of `BUMPS`. */
export function asGood(error) {
  let [low, high] = BUMPS.map(Math.log);
  if (error <= bumpError(BUMPS[0])) return BUMPS[0];
  if (error >= bumpError(BUMPS[1])) return BUMPS[1];
  while (high - low > 1e-12) {
    const middle = (low + high) / 2;
    if (bumpError(Math.exp(middle)) > error) high = middle;
    else low = middle;
  }
  return Math.exp((low + high) / 2);
}

/** How well the first features stand for a delta, and with how large weights. */
export function evaluate(fit, width) {
  const { weights, error, size } = fit.at(width);
  const value = (z) => sum(weights, fit.features, z);
  return {
    error,
    size,
    largest: Math.max(...weights.map(Math.abs)),
    bump: asGood(error),
    mean: POINTS.reduce((total, z, i) => total + MASSES[i] * value(z), 0),
  };
}

/** Ends of the vertical axis: a power of two, and below 0 a power of two times that. */
export function limits(g, peak) {
  const top = 2 ** Math.max(1, Math.ceil(Math.log2(1.05 * Math.max(...g, peak))));
  const need = Math.max(-Math.min(...g) / top, 0.25);
  return [-top * 2 ** Math.ceil(Math.log2(need)), top];
}

// ---------------------------------------------------------------- words

const QUIET = 500; // milliseconds without a change before something is said
const STATE = ["width", "scale", "ridge", "constant", "seed"];
const SEEDS = 2 ** 32;

const raised = (power) => `10${String(power).replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]))}`;
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** Three digits. */
function rounded(value) {
  if (Math.abs(value) >= 1000) return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1).replace("-", "−") : value.toPrecision(3);
}

/** 10⁻⁶, or 2.5 × 10⁻⁷. */
function scientific(value) {
  const [mantissa, power] = value.toExponential(1).split("e");
  const ten = raised(Number(power));
  return mantissa === "1.0" ? ten : `${Number(mantissa)} × ${ten}`;
}

/** The bump's standard deviation, with a sign where there is only a bound. */
function spread(s) {
  if (s <= BUMPS[0]) return `≤ ${s}`;
  return s >= BUMPS[1] ? `≥ ${s}` : rounded(s);
}

const told = (width, now) => {
  const bound = spread(now.bump).replace("≤", "at most").replace("≥", "at least");
  return `${plural(width, "feature")}: error ${rounded(now.error)}, as a bump of standard deviation ${bound}; sum of the weights’ sizes ${rounded(now.size)}.`;
};

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
const FINE = 600; // pieces of the curve

let instances = 0;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect", "clipPath"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");

/** An SVG as wide as its place. */
class Panel {
  constructor(height) {
    this.height = height;
    this.back = make("g", { "aria-hidden": "true" });
    this.front = make("g", { "aria-hidden": "true" });
    this.svg = make("svg", { class: "gc-plot", role: "img" }, this.back, this.front);
  }

  resize(width) {
    this.width = width;
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", this.height);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
  }

  label(x, y, words) {
    this.back.append(make("text", { x, y, "text-anchor": "middle" }, words));
  }

  /** A number below the horizontal axis. */
  tick(x, y, value) {
    this.back.append(make("text", { x, y, "text-anchor": "middle", "data-place": value }, String(value).replace("-", "−")));
  }

  /** A horizontal line, and its number on the left. */
  level(left, right, y, value, words, cls = "gc-grid") {
    this.back.append(make("line", { x1: left, x2: right, y1: y, y2: y, class: cls, "data-level": value }));
    this.back.append(make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, words));
  }
}

/** The sum of the features and a bump that is as good, with a stroke where each feature is 0. */
class Curve extends Panel {
  constructor() {
    super(250);
    const id = `gc-deltas-${(instances += 1)}`;
    this.window = make("rect", { x: 0, y: 0 });
    this.svg.prepend(make("clipPath", { id }, this.window));
    this.curves = make("g", { "aria-hidden": "true", "clip-path": `url(#${id})` });
    this.svg.insertBefore(this.curves, this.front);
  }

  draw(weights, features, now) {
    const [left, right, top, bottom] = [34, this.width - 6, 8, this.height - 44];
    const places = Array.from({ length: FINE + 1 }, (_, i) => VIEW * (2 * (i / FINE) - 1));
    const g = places.map((z) => sum(weights, features, z));
    const inner = g.filter((_, i) => Math.abs(places[i]) <= 2);
    const [low, high] = limits(inner, bump(0, now.bump));
    const x = (z) => left + ((z + VIEW) / (2 * VIEW)) * (right - left);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
    this.axes({ left, right, bottom, low, high, x, y });
    for (const [key, value] of Object.entries({ x: left, y: 0, width: right - left, height: bottom })) this.window.setAttribute(key, value);
    const curve = (cls, value) => make("path", { class: `gc-curve ${cls}`, d: line(places.map((z, i) => [x(z), y(value(z, i))])) });
    this.curves.replaceChildren(
      curve("gc-bump", (z) => bump(z, now.bump)),
      curve("gc-generator", (_, i) => g[i]),
    );
    const zeros = features.slice(0, weights.length).map(({ w, b }, i) => ({ at: -b / w, i }));
    const stroke = ({ at, i }) =>
      make("path", { d: `M${x(at).toFixed(2)} ${bottom + 3}v9`, class: i === weights.length - 1 ? "gc-zero gc-last" : "gc-zero", "data-z": at });
    this.front.replaceChildren(...zeros.filter(({ at }) => Math.abs(at) <= VIEW).map(stroke));
    this.svg.setAttribute("aria-label", `Sum of ${plural(weights.length, "feature")} from −${VIEW} to ${VIEW}: ${rounded(sum(weights, features, 0))} at 0, beside a bump of standard deviation ${spread(now.bump)} and height ${rounded(bump(0, now.bump))}`);
  }

  axes({ left, right, bottom, low, high, x, y }) {
    this.back.replaceChildren();
    const step = Math.max(high, -low) / 2;
    for (let value = Math.ceil(low / step) * step; value <= high; value += step)
      this.level(left, right, y(value), value, String(value).replace("-", "−"), value ? "gc-grid" : "gc-base");
    for (let z = -VIEW; z <= VIEW; z += 1) this.tick(x(z), bottom + 26, z);
    this.label((left + right) / 2, bottom + 41, "z");
  }
}

/** A number against the width, both axes logarithmic. */
class Course extends Panel {
  constructor(key, name, range) {
    super(190);
    Object.assign(this, { key, name, range });
  }

  draw(steps) {
    const values = steps.map((step) => step[this.key]);
    const decade = (value, round) => 10 ** round(Math.log10(value));
    const low = Math.min(this.range[0], decade(Math.min(...values), Math.floor));
    const high = Math.max(this.range[1], decade(Math.max(...values), Math.ceil));
    const [left, right, top, bottom] = [46, this.width - 12, 8, this.height - 40];
    const most = LIMITS.width[1];
    const x = (width) => left + (Math.log(width) / Math.log(most)) * (right - left);
    const y = (value) => bottom - (Math.log(value / low) / Math.log(high / low)) * (bottom - top);
    this.axes({ left, right, bottom, low, high, x, y });
    const points = values.map((value, i) => [x(i + 1), y(value)]);
    const dot = ([cx, cy], i) => make("circle", { cx: cx.toFixed(2), cy: cy.toFixed(2), r: i === points.length - 1 ? 5 : 2.5, class: i === points.length - 1 ? "gc-dot gc-generator" : "gc-step", "data-width": i + 1, "data-value": values[i] });
    this.front.replaceChildren(make("path", { d: line(points), class: "gc-curve gc-generator" }), ...points.map(dot));
    this.svg.setAttribute("aria-label", `${this.name} against the number of features, both logarithmic: ${rounded(values[0])} with 1, ${rounded(values.at(-1))} with ${values.length}`);
  }

  axes({ left, right, bottom, low, high, x, y }) {
    this.back.replaceChildren();
    for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power += 1) {
      const value = Number(`1e${power}`);
      this.level(left, right, y(value), value, Math.abs(power) > 3 ? raised(power) : String(value));
    }
    this.back.append(make("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "gc-base" }));
    for (const width of [1, 2, 5, 10, 20, 60]) this.tick(x(width), bottom + 18, width);
    this.label((left + right) / 2, bottom + 36, "features");
  }
}

// ---------------------------------------------------------------- numbers and controls

function readouts() {
  const cells = {};
  const cell = (key, tag = "p") => (cells[key] = make(tag, { "data-readout": key }));
  const part = (name, key, ...note) => make("div", {}, make("p", {}, name), cell(key), make("p", { class: "gc-fine" }, ...note));
  const box = make(
    "div",
    { class: "gc-stats" },
    part("Error", "error", "over smooth test functions"),
    part("Bump of that error", "bump", "its standard deviation"),
    part("Σ |uᵢ|", "size", "largest |uᵢ| ", cell("largest", "span")),
    part("E g(Z)", "mean", `of the delta: ${rounded(DENSITY)}`),
  );
  const update = (now) => {
    for (const [key, node] of Object.entries(cells)) {
      node.textContent = key === "bump" ? spread(now[key]) : rounded(now[key]).replace("-", "−");
      node.dataset.value = now[key];
    }
  };
  return { box, update };
}

const [LEAST, MOST] = LIMITS.ridge.map((ridge) => Math.round(Math.log10(ridge)));
const SLIDERS = {
  width: { name: "Features", sign: "", from: [...LIMITS.width, 1], show: String },
  scale: { name: "Scale of wᵢ and bᵢ", sign: "", from: [...LIMITS.scale, 0.5], show: String },
  ridge: { name: "Ridge", sign: "λ", from: [LEAST, MOST, 1], show: scientific, place: Math.log10, value: (place) => Number(`1e${place}`) },
};

function sliders(onSet) {
  const box = make("div", { class: "gc-sliders" });
  const inputs = Object.entries(SLIDERS).map(([trait, { name, sign, from: [min, max, step], show, place = Number, value = Number }]) => {
    const input = make("input", { type: "range", min, max, step, "data-trait": trait });
    const shown = make("span", { class: "gc-value" });
    input.addEventListener("input", () => onSet({ [trait]: value(input.value) }));
    box.append(make("label", {}, make("span", {}, name, ...(sign ? [" ", make("i", {}, sign)] : [])), input, shown));
    return (state) => {
      input.value = place(state[trait]);
      shown.textContent = show(state[trait]);
      input.setAttribute("aria-valuetext", shown.textContent);
    };
  });
  return { box, update: (state) => inputs.forEach((set) => set(state)) };
}

function controls({ first, onSet, onAdd, onDraw }) {
  const button = (text, onClick, attributes = {}) => {
    const node = make("button", { type: "button", class: "gc-button", ...attributes }, text);
    node.addEventListener("click", onClick);
    return node;
  };
  const more = [
    button("One more feature", () => onAdd(1), { "aria-keyshortcuts": "N" }),
    button("Ten more", () => onAdd(10), { "aria-keyshortcuts": "Shift+N" }),
  ];
  const check = make("input", { type: "checkbox", "data-trait": "constant" });
  check.addEventListener("change", () => onSet({ constant: check.checked }));
  const bar = make(
    "div",
    { class: "gc-bar" },
    make("div", { class: "gc-row" }, ...more),
    make("label", {}, check, "First feature constant"),
    make("div", { class: "gc-row" }, button("New draw", onDraw), button("Reset", () => onSet(first))),
  );
  const update = ({ width, constant }) => {
    for (const node of more) node.setAttribute("aria-disabled", width >= LIMITS.width[1]);
    check.checked = constant;
  };
  return { bar, update };
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

/** The fit of some settings, which is kept while only the width changes. */
function fitter() {
  let [law, fit] = [null, null];
  return (state) => {
    const now = JSON.stringify({ ...state, width: 0 });
    if (now !== law) [law, fit] = [now, new Fit(state)];
    return fit;
  };
}

function render({ model, el }) {
  const state = () => Object.fromEntries(STATE.map((key) => [key, model.get(key)]));
  const first = state();
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  const spoken = announcer();
  const fitted = fitter();
  let frame = null;

  const set = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    tell();
  };
  const grow = (count) => set({ width: Math.min(LIMITS.width[1], model.get("width") + count) });
  const picture = new Curve();
  const courses = [new Course("error", "Error", [1e-3, 0.25]), new Course("size", "Sum of the weights’ sizes", [0.1, 1000])];
  const { box: numbers, update: updateNumbers } = readouts();
  const { box: ranges, update: updateRanges } = sliders(set);
  const { bar, update: updateControls } = controls({ first, onSet: set, onAdd: grow, onDraw: () => set({ seed: (model.get("seed") + 1) % SEEDS }) });

  const draw = () => {
    frame = null;
    const settings = state();
    const fit = fitted(settings);
    const now = evaluate(fit, settings.width);
    picture.draw(fit.at(settings.width).weights, fit.features, now);
    for (const course of courses) course.draw(fit.steps.slice(0, settings.width));
    updateNumbers(now);
    updateRanges(settings);
    updateControls(settings);
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };
  const changed = () => {
    schedule();
    spoken.say(() => told(model.get("width"), evaluate(fitted(state()), model.get("width"))));
  };

  const legend = (...entries) => make("p", { class: "gc-key" }, ...entries.map(([cls, text]) => make("span", {}, make("span", { class: cls, "aria-hidden": "true" }), text)));
  const part = (panel, title) => make("div", { class: "gc-part" }, ...title, panel.svg);
  const name = (text) => [make("p", { class: "gc-title" }, text)];
  const key = legend(["gc-swatch gc-generator", "Σ uᵢ φᵢ"], ["gc-swatch gc-bump", "bump of the same error"], ["gc-sign gc-zeros", "zero of a feature"], ["gc-sign gc-zeros gc-last", "of the newest"]);
  el.classList.add("gc", "gc-deltas");
  el.addEventListener("keydown", (event) => {
    // JupyterLab would take the arrow keys of a slider for its own shortcuts.
    if (event.key.startsWith("Arrow")) event.stopPropagation();
    if (event.key.toLowerCase() !== "n" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    grow(event.shiftKey ? 10 : 1);
  });
  el.append(
    bar,
    ranges,
    make("p", { class: "gc-fine" }, "The weights u minimize error² + λ Σ uᵢ². The two lower pictures have logarithmic axes."),
    key,
    part(picture, []),
    numbers,
    make("div", { class: "gc-parts" }, part(courses[0], name("Error")), part(courses[1], name("Σ |uᵢ|"))),
    spoken.node,
  );

  const panels = [picture, ...courses];
  const observer = new ResizeObserver(() => {
    for (const panel of panels) {
      const width = Math.floor(panel.svg.parentElement.clientWidth);
      if (width > 0 && width !== panel.width) panel.resize(width);
    }
    schedule();
  });
  for (const panel of panels) {
    panel.resize(312);
    observer.observe(panel.svg.parentElement);
  }
  const events = STATE.map((trait) => `change:${trait}`);
  for (const event of events) model.on(event, changed);
  draw();
  return () => {
    observer.disconnect();
    spoken.stop();
    for (const event of events) model.off(event, changed);
    if (frame !== null) cancelAnimationFrame(frame);
  };
}

export default { render };
