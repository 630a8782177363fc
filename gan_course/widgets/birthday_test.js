// The birthday test on a known law: one drawing with its collisions, the number of colliding pairs over
// many drawings beside its Poisson law, and the effective support that a drawing tells.

export const LIMITS = { support: [1, 100000], draws: [2, 2000], heavy: [0, 0.9], drawings: [1, 2000] };
export const LEVEL = 0.95; // of the interval
export const BARS = 24; // of the histogram, at most
const TAIL = (1 - LEVEL) / 2;
const STRIDE = 2048; // random numbers set aside for each drawing
const GOLDEN = 0x9e3779b9;

// ---------------------------------------------------------------- the drawings

/** A bijective mixer of 32 bits. */
export function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** `uniform(i)`: the pseudo-random numbers in [0, 1) of one drawing; in Python they are the same, bit for bit. */
export function uniforms(seed, number) {
  const start = mix(seed + GOLDEN);
  return (i) => mix(start + Math.imul(number * STRIDE + i, GOLDEN)) / 2 ** 32;
}

/** `value(i)`, from 0 to support - 1: with probability `heavy` it is 0, else all are equally likely. */
function sampler({ support, heavy, seed }, number) {
  const uniform = uniforms(seed, number);
  return (i) => {
    const u = uniform(i);
    return u < heavy ? 0 : Math.min(support - 1, Math.floor(((u - heavy) / (1 - heavy)) * support));
  };
}

export function drawn(settings, number) {
  const value = sampler(settings, number);
  return Array.from({ length: settings.draws }, (_, i) => value(i));
}

/** Colliding pairs of the drawings from number `first` on, up to the settings' `drawings`. */
export function counts(settings, first = 0) {
  const seen = new Int32Array(settings.support); // in which drawing a value came last, plus 1
  const times = new Int32Array(settings.support);
  return Array.from({ length: settings.drawings - first }, (_, k) => {
    const value = sampler(settings, first + k);
    let pairs = 0;
    for (let i = 0; i < settings.draws; i += 1) {
      const v = value(i);
      if (seen[v] !== k + 1) {
        seen[v] = k + 1;
        times[v] = 0;
      }
      pairs += times[v];
      times[v] += 1;
    }
    return pairs;
  });
}

/** The counts, of which only new ones are computed while the law stays. */
function recorder() {
  let [law, found] = [null, []];
  return (settings) => {
    const now = JSON.stringify({ ...settings, drawings: 0 });
    if (now !== law) [law, found] = [now, []];
    if (settings.drawings > found.length) found = found.concat(counts(settings, found.length));
    return found.slice(0, settings.drawings);
  };
}

// ---------------------------------------------------------------- the law

const choose2 = (s) => (s * (s - 1)) / 2;

/** Sums of the squares and of the cubes of the law's probabilities. */
export function moments({ support, heavy }) {
  const light = (1 - heavy) / support;
  const atom = heavy + light;
  return [2, 3].map((power) => atom ** power + (support - 1) * light ** power);
}

/** Variance of the number of colliding pairs, over its mean. */
export function dispersion(settings) {
  const [squares, cubes] = moments(settings);
  const more = settings.heavy > 0 ? Math.max(cubes - squares ** 2, 0) : 0; // pairs that share a draw
  return 1 - squares + (2 * (settings.draws - 2) * more) / squares;
}

/** Exact probability of at least one collision: either no draw is sent to the heavy value, or one is and the others miss it. */
export function probability({ support, draws, heavy }) {
  if (draws > support) return 1;
  let none = Math.log1p((draws - 1) * heavy) + (draws - 1) * Math.log1p(-heavy);
  for (let i = 1; i < draws; i += 1) none += Math.log1p(-i / support);
  return -Math.expm1(none);
}

/** log k! beyond Stirling's formula. */
function beyond(k) {
  if (k > 15) return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / k ** 2) / k ** 2) / k ** 2) / k;
  let factorial = 1;
  for (let i = 2; i <= k; i += 1) factorial *= i;
  return Math.log(factorial) - (k + 0.5) * Math.log(k) + k - 0.5 * Math.log(2 * Math.PI);
}

/** The Poisson law's probability of k. */
function weight(k, mean) {
  if (k === 0) return Math.exp(-mean);
  if (!(mean > 0)) return 0;
  const off = (mean - k) / k;
  return Math.exp(k * (Math.log1p(off) - off) - beyond(k)) / Math.sqrt(2 * Math.PI * k);
}

/** Probability of at most k: summed away from the mean, so that nothing cancels. */
export function atMost(k, mean) {
  if (k < 0) return 0;
  if (k >= mean) return 1 - atLeast(k + 1, mean);
  let [total, term] = [1, 1];
  for (let j = k; j > 0 && term > 1e-17 * total; j -= 1) total += term *= j / mean;
  return weight(k, mean) * total;
}

/** Probability of at least k. */
export function atLeast(k, mean) {
  if (k <= 0) return 1;
  if (k <= mean) return 1 - atMost(k - 1, mean);
  let [total, term] = [1, 1];
  for (let j = k + 1; term > 1e-17 * total; j += 1) total += term *= mean / j;
  return weight(k, mean) * total;
}

/** Where `isHigh` turns from false to true. */
function crossing(isHigh, low, high) {
  for (let turn = 0; turn < 90; turn += 1) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (isHigh(middle)) high = middle;
    else low = middle;
  }
  return (low + high) / 2;
}

/** Interval for the effective support: the exact one for a Poisson law's mean (Garwood, 1936), turned around. */
export function interval(pairs, draws) {
  const far = 8 * Math.sqrt(pairs + 1) + 12;
  const most = crossing((mean) => atMost(pairs, mean) < TAIL, pairs, pairs + far);
  const least = pairs ? crossing((mean) => atLeast(pairs, mean) > TAIL, Math.max(0, pairs - far), pairs) : 0;
  return [Math.max(1, choose2(draws) / most), least ? choose2(draws) / least : Infinity];
}

/** What the last drawing says, what is true, and what happened in all drawings. */
export function evaluate(settings, found) {
  const [squares] = moments(settings);
  const total = choose2(settings.draws);
  const expected = total * squares;
  const pairs = found.at(-1);
  const [low, high] = interval(pairs, settings.draws);
  const verdicts = new Map(); // whether a count's interval holds the truth
  const holds = (count) => {
    if (!verdicts.has(count)) verdicts.set(count, atMost(count, expected) >= TAIL && atLeast(count, expected) >= TAIL);
    return verdicts.get(count);
  };
  return {
    pairs,
    estimate: pairs ? total / pairs : Infinity,
    low,
    high,
    effective: 1 / squares,
    expected,
    dispersion: dispersion(settings),
    probability: probability(settings),
    mean: found.reduce((sum, count) => sum + count, 0) / found.length,
    collided: found.filter((count) => count > 0).length,
    covered: found.filter(holds).length,
  };
}

/** Edges of the histogram: whole numbers, equally far apart, around all that was found. */
export function bins(expected, scatter, found) {
  const spread = 4 * Math.sqrt(expected * Math.max(1, scatter));
  const low = Math.min(Math.max(0, Math.floor(expected - spread)), ...found);
  const high = Math.max(Math.ceil(expected + spread), 3, ...found);
  const bin = (value, width) => Math.floor(value / width);
  let width = 1;
  while (bin(high, width) - bin(low, width) >= BARS) width *= String(width)[0] === "2" ? 2.5 : 2;
  const first = bin(low, width);
  return Array.from({ length: bin(high, width) - first + 2 }, (_, i) => width * (first + i));
}

/** The Poisson law's share of each bin, from one edge to before the next. */
export function poisson(mean, edges) {
  const far = 9 * Math.sqrt(mean) + 40;
  return edges.slice(1).map((end, i) => {
    let share = 0;
    for (let k = Math.max(edges[i], Math.floor(mean - far)); k < Math.min(end, mean + far); k += 1) share += weight(k, mean);
    return share;
  });
}

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 500; // milliseconds without a change before something is said
const STATE = ["support", "draws", "heavy", "drawings", "seed"];
const PRESETS = [
  ["Birthdays", { support: 365, draws: 23, heavy: 0 }],
  ["Large support", { support: 100000, draws: 400, heavy: 0 }],
  ["Heavy value", { support: 100000, draws: 23, heavy: 0.15 }],
];
const RANGES = {
  support: ["Support", "n"],
  draws: ["Draws", "s"],
  heavy: ["Heavy value’s share", "h"],
};

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const grouped = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 0 });
const plural = (count, word) => `${grouped(count)} ${word}${count === 1 ? "" : "s"}`;

/** Three digits, or as many as a whole number below 10 000 has. */
function rounded(value) {
  if (value === Infinity) return "∞";
  if (value >= 1000) return grouped(value < 10000 ? value : Number(value.toPrecision(3)));
  if (Number.isInteger(value)) return String(value);
  return value !== 0 && value < 0.01 ? value.toExponential(1).replace("-", "−") : value.toPrecision(3);
}

function chance(value, { draws, support }) {
  if (draws > support) return "1";
  if (value < 5e-5) return rounded(value);
  return value > 0.99995 ? "> 0.9999" : value.toFixed(4);
}

/** The whole numbers with two leading digits from `low` to `high`, and one more. */
export function ladder([low, high], extra) {
  const rungs = new Set([extra]);
  for (let value = low, step; value <= high; value += step) {
    rungs.add(value);
    step = Math.max(1, 10 ** (String(value).length - 2));
  }
  return [...rungs].sort((a, b) => a - b);
}

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
}

/** Columns of a grid with a square cell for each value, and the cells' size, at most `most`. */
export function grid(support, width, height, most) {
  const size = Math.min(most, Math.sqrt((width * height) / support));
  let columns = Math.max(1, Math.floor(width / size));
  while (Math.ceil(support / columns) * (width / columns) > height) columns += 1;
  return { columns, size: Math.min(most, width / columns) };
}

/** A cell for each value, and dots for those drawn. */
class Cells extends Panel {
  constructor() {
    super(226);
  }

  resize(width) {
    super.resize(width);
    this.laid = null;
  }

  layout(support) {
    if (this.laid === support) return;
    this.laid = support;
    const pad = 8;
    const { columns, size } = grid(support, this.width - 2 * pad, this.height - 2 * pad, 28);
    this.size = size;
    this.at = (value) => [pad + ((value % columns) + 0.5) * size, pad + (Math.floor(value / columns) + 0.5) * size];
    const wide = Math.min(columns, support) * size;
    const frame = { x: pad - 3, y: pad - 3, width: wide + 6, height: Math.ceil(support / columns) * size + 6, class: "gc-frame" };
    const side = (0.86 * size).toFixed(2);
    const box = (_, value) => {
      const [x, y] = this.at(value).map((place) => (place - 0.43 * size).toFixed(1));
      return `M${x} ${y}h${side}v${side}h-${side}z`;
    };
    const boxes = size >= 3.5 ? Array.from({ length: support }, box).join("") : "";
    this.back.replaceChildren(make("rect", frame), make("path", { d: boxes, class: "gc-cells" }));
  }

  draw(settings, pairs) {
    this.layout(settings.support);
    const times = new Map();
    for (const value of drawn(settings, settings.drawings - 1)) times.set(value, (times.get(value) ?? 0) + 1);
    const radius = clamp(0.3 * this.size, 1.5, 6);
    const most = Math.max(4.5, 0.5 * this.size);
    const place = (value) => this.at(value).map((pixel) => pixel.toFixed(1));
    const all = [...times];
    const once = all.filter(([, count]) => count === 1).map(([value]) => `M${place(value).join(" ")}h0`);
    const again = all.filter(([, count]) => count > 1);
    const mark = ([value, count]) => {
      const [cx, cy] = place(value);
      const heavy = settings.heavy > 0 && value === 0;
      const r = clamp((heavy ? 2.8 : 1.1 * radius) * Math.sqrt(count), 4.5, heavy ? 13 : most);
      const circle = make("circle", { cx, cy, r, class: "gc-again", "data-value": value, "data-times": count });
      if (r < 5.5 || (count > 99 && r < 12)) return [circle];
      return [circle, make("text", { x: cx, y: Number(cy) + 3.5, "text-anchor": "middle", class: "gc-times" }, grouped(count))];
    };
    this.front.replaceChildren(
      make("path", { d: once.join(""), class: "gc-once", "stroke-width": 2 * radius }),
      ...again.flatMap(mark),
    );
    const words = `${grouped(settings.draws)} draws from ${plural(settings.support, "value")}: ${plural(again.length, "value")} drawn more than once`;
    this.svg.setAttribute("aria-label", `Drawing ${settings.drawings}, ${words}, ${plural(pairs, "colliding pair")}`);
  }
}

/** Places of about `count` round numbers between two. */
function ticks(low, high, count, least = 0) {
  const rough = Math.max((high - low) / count, least);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, i) => [(first + i) * step, step]);
}

/** How many drawings had how many colliding pairs, and how many the Poisson law expects. */
class Histogram extends Panel {
  constructor() {
    super(226);
  }

  draw(now, found) {
    const edges = bins(now.expected, now.dispersion, found);
    const shares = edges.slice(1).map((end, i) => found.filter((count) => edges[i] <= count && count < end).length / found.length);
    const law = poisson(now.expected, edges);
    const [left, right, top, bottom] = [38, this.width - 6, 10, this.height - 40];
    const [low, high] = [edges[0] - 0.5, edges.at(-1) - 0.5];
    const peak = 1.08 * Math.max(...shares, ...law);
    const x = (count) => left + ((count - low) / (high - low)) * (right - left);
    const y = (share) => bottom - (share / peak) * (bottom - top);
    this.axes({ left, right, bottom, low, high, peak, x, y });

    const bar = (share, i) => {
      const [from, to] = [x(edges[i] - 0.45), x(edges[i + 1] - 0.55)];
      return make("path", { d: `M${from.toFixed(2)} ${bottom}V${y(share).toFixed(2)}H${to.toFixed(2)}V${bottom}Z`, class: "gc-bar-share", "data-share": share });
    };
    const middles = law.map((share, i) => [x((edges[i] + edges[i + 1] - 1) / 2), y(share)].map((pixel) => pixel.toFixed(2)));
    const here = x(now.pairs).toFixed(2);
    this.front.replaceChildren(
      ...shares.map(bar),
      make("path", { d: `M${middles.map((point) => point.join(" ")).join("L")}`, class: "gc-curve gc-law" }),
      ...middles.map(([cx, cy], i) => make("circle", { cx, cy, r: 3, class: "gc-law-dot", "data-share": law[i] })),
      make("line", { x1: here, x2: here, y1: top, y2: bottom, class: "gc-here" }),
      make("path", { d: `M${here} ${bottom + 2}l5 8h-10z`, class: "gc-pointer", "data-pairs": now.pairs }),
    );
    const words = `mean ${rounded(now.mean)}; beside them a Poisson law of mean ${rounded(now.expected)}`;
    this.svg.setAttribute("aria-label", `Histogram of the colliding pairs in ${plural(found.length, "drawing")}, ${words}`);
  }

  axes({ left, right, bottom, low, high, peak, x, y }) {
    const text = (at, words) => make("text", at, words);
    const room = 9 * grouped(high).length + 14;
    this.back.replaceChildren(text({ x: (left + right) / 2, y: bottom + 37, "text-anchor": "middle" }, "colliding pairs"));
    for (const [share, step] of ticks(0, peak, 4)) {
      this.back.append(make("line", { x1: left, x2: right, y1: y(share), y2: y(share), class: share ? "gc-grid" : "gc-base" }));
      this.back.append(text({ x: left - 6, y: y(share) + 4, "text-anchor": "end" }, share ? share.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9))) : "0"));
    }
    for (const [count] of ticks(low + 0.5, high - 0.5, Math.max(1, Math.floor((right - left) / room)), 1))
      this.back.append(text({ x: x(count), y: bottom + 22, "text-anchor": "middle", class: "gc-tick" }, grouped(count)));
  }
}

// ---------------------------------------------------------------- numbers and controls

function readouts() {
  const cell = (key, tag = "p") => make(tag, { "data-readout": key });
  const cells = { dispersion: cell("dispersion", "span"), covered: cell("covered", "span") };
  const notes = {};
  const box = make("div", { class: "gc-stats" });
  for (const [key, name] of [["probability", "P(collision)"], ["pairs", "Colliding pairs"], ["estimate", "Estimated support"], ["effective", "Effective support"]]) {
    cells[key] = cell(key);
    notes[key] = make("p", { class: "gc-fine" });
    box.append(make("div", {}, make("p", {}, name), cells[key], notes[key]));
  }
  const hidden = ["low", "high", "expected", "mean", "collided"].map((key) => (cells[key] = cell(key, "span")));
  const put = (key, value, text) => {
    cells[key].textContent = text;
    cells[key].dataset.value = value;
  };
  const [low, high, expected, mean, collided] = hidden;
  const drawings = make("span");
  const values = make("span");
  notes.probability.append("happened in ", collided, " of ", drawings);
  notes.pairs.append("expected ", expected, ", mean ", mean);
  notes.estimate.append("95 %: ", low, " to ", high);
  notes.effective.append("1/Σq², of ", values);
  const all = make("p", { class: "gc-fine gc-over" }, "The interval holds the effective support in ", cells.covered, ". In theory the pairs’ variance is ", cells.dispersion, " times their mean; a Poisson law’s equals its mean.");
  const update = (settings, now) => {
    const { support, drawings: count } = settings;
    put("probability", now.probability, chance(now.probability, settings));
    put("pairs", now.pairs, grouped(now.pairs));
    for (const key of ["estimate", "low", "high", "effective", "expected", "mean", "dispersion"]) put(key, now[key], rounded(now[key]));
    put("collided", now.collided, grouped(now.collided));
    put("covered", now.covered, `${grouped(now.covered)} of ${plural(count, "drawing")}`);
    drawings.textContent = plural(count, "drawing");
    values.textContent = plural(support, "value");
  };
  return { nodes: [box, all], update };
}

/** Sliders over the ladders of whole numbers, and over the heavy value's share. */
function sliders(state, onSet) {
  const first = state();
  const rungs = { support: ladder(LIMITS.support, first.support), draws: ladder(LIMITS.draws, first.draws) };
  const box = make("div", { class: "gc-sliders" });
  const inputs = Object.entries(RANGES).map(([trait, [name, sign]]) => {
    const list = rungs[trait];
    const scale = list ? { min: 0, max: list.length - 1, step: 1 } : { min: LIMITS[trait][0], max: LIMITS[trait][1], step: 0.01 };
    const input = make("input", { type: "range", ...scale, "data-trait": trait });
    const value = make("span", { class: "gc-value" });
    input.addEventListener("input", () => onSet({ [trait]: list ? list[Number(input.value)] : Number(input.value) }));
    box.append(make("label", {}, make("span", {}, `${name} `, make("i", {}, sign)), input, value));
    return { trait, list, input, value };
  });
  const update = (now) => {
    for (const { trait, list, input, value } of inputs) {
      const at = list?.findIndex((rung) => rung >= now[trait]);
      input.value = list ? at : now[trait];
      value.textContent = list ? grouped(now[trait]) : now[trait].toFixed(2);
      input.setAttribute("aria-valuetext", value.textContent);
    }
  };
  return { box, update };
}

function controls({ first, onSet, onAdd }) {
  const button = (text, onClick, attributes = {}) => {
    const node = make("button", { type: "button", class: "gc-button", ...attributes }, text);
    node.addEventListener("click", onClick);
    return node;
  };
  const presets = PRESETS.map(([name, values]) => button(name, () => onSet(values)));
  const more = [
    button("One more drawing", () => onAdd(1), { "aria-keyshortcuts": "N" }),
    button("100 more", () => onAdd(100), { "aria-keyshortcuts": "Shift+N" }),
  ];
  const bar = make(
    "div",
    { class: "gc-bar" },
    make("div", { class: "gc-row", role: "group", "aria-label": "Presets" }, ...presets),
    make("div", { class: "gc-row" }, ...more, button("Reset", () => onSet(first))),
  );
  const update = ({ drawings }) => {
    for (const node of more) node.setAttribute("aria-disabled", drawings >= LIMITS.drawings[1]);
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

function told(settings, { pairs, estimate, low, high, probability: p }) {
  const number = (value) => rounded(value).replace("∞", "infinity");
  return `Drawing ${settings.drawings}: ${plural(pairs, "colliding pair")}, estimated support ${number(estimate)}, interval ${number(low)} to ${number(high)}. Probability of a collision ${chance(p, settings)}.`;
}

function render({ model, el }) {
  const state = () => Object.fromEntries(STATE.map((key) => [key, model.get(key)]));
  const first = state();
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  const spoken = announcer();
  const record = recorder();
  let frame = null;

  const set = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    tell();
  };
  const add = (count) => set({ drawings: Math.min(LIMITS.drawings[1], model.get("drawings") + count) });
  const cells = new Cells();
  const histogram = new Histogram();
  const { nodes: numbers, update: updateNumbers } = readouts();
  const { box: ranges, update: updateRanges } = sliders(state, set);
  const { bar, update: updateControls } = controls({ first, onSet: set, onAdd: add });
  const titles = [make("p", { class: "gc-title" }), make("p", { class: "gc-title" })];

  const draw = () => {
    frame = null;
    const settings = state();
    const found = record(settings);
    const now = evaluate(settings, found);
    titles[0].textContent = `Drawing ${grouped(settings.drawings)}: ${plural(settings.draws, "draw")}`;
    titles[1].textContent = `Colliding pairs in ${plural(settings.drawings, "drawing")}`;
    cells.draw(settings, now.pairs);
    histogram.draw(now, found);
    updateNumbers(settings, now);
    updateRanges(settings);
    updateControls(settings);
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };
  const changed = () => {
    schedule();
    spoken.say(() => told(state(), evaluate(state(), record(state()))));
  };

  const legend = (...entries) => make("p", { class: "gc-key" }, ...entries.map(([cls, text]) => make("span", {}, make("span", { class: `gc-sign ${cls}`, "aria-hidden": "true" }), text)));
  const part = (i, panel, key) => make("div", { class: "gc-part" }, titles[i], panel.svg, key);
  el.classList.add("gc", "gc-birthdays");
  el.addEventListener("keydown", (event) => {
    // JupyterLab would take the arrow keys of a slider for its own shortcuts.
    if (event.key.startsWith("Arrow")) event.stopPropagation();
    if (event.key.toLowerCase() !== "n" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    add(event.shiftKey ? 100 : 1);
  });
  el.append(
    bar,
    ranges,
    make(
      "div",
      { class: "gc-parts" },
      part(0, cells, legend(["gc-first", "drawn once"], ["gc-twice", "more than once"])),
      part(1, histogram, legend(["gc-share", "share of drawings"], ["gc-theory", "Poisson law"], ["gc-current", "this drawing"])),
    ),
    ...numbers,
    spoken.node,
  );

  const panels = [cells, histogram];
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
  const events = STATE.map((name) => `change:${name}`);
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
