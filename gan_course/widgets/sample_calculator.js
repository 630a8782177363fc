// How many samples fool all critics of m parameters at once: the bound, with a slider and a picture
// for each of the numbers it depends on.

export const LIMITS = { m: [1, 1e6], lipschitz: [0.1, 1e4], epsilon: [0.01, 1], failure: [1e-50, 0.5] };
export const STATE = Object.keys(LIMITS);

const MANTISSAS = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8];
const TOP = 1e13; // of the pictures: more than the largest number of samples

/** The values that a slider has, ten a decade. */
export function ticks(name) {
  const [low, high] = LIMITS[name];
  const [from, to] = [Math.floor(Math.log10(low) + 0.5), Math.ceil(Math.log10(high))];
  const values = Array.from({ length: to - from + 1 }, (_, i) => MANTISSAS.map((mantissa) => [mantissa, Number(`${mantissa}e${from + i}`)])).flat();
  // The number of parameters is whole, and ten a decade are too many where the probability is small.
  const kept = ([mantissa, value]) => (name === "m" ? Number.isInteger(value) : name !== "failure" || value >= 0.01 || mantissa === 1);
  return values.filter(kept).map(([, value]) => value).filter((value) => value >= low && value <= high);
}

/** What the theorem asks for, and what of it is due to what; see the package's `bounds.evaluate`. */
export function evaluate({ m, lipschitz, epsilon, failure }) {
  const radius = epsilon / (4 * lipschitz);
  const logNet = m * Math.log1p(2 / radius);
  const logFailure = Math.log(2 / failure);
  const scale = 8 / (epsilon * epsilon);
  return {
    samples: Math.ceil(scale * (logNet + logFailure)),
    alone: Math.ceil(scale * logFailure),
    radius,
    log_net: logNet,
    share: logNet / (logNet + logFailure),
  };
}

// ---------------------------------------------------------------- words

const QUIET = 700; // milliseconds without a change before the numbers are spoken
const NAMES = { m: "Parameters", lipschitz: "Lipschitz constant", epsilon: "Accuracy", failure: "Failure probability" };
const SIGNS = { m: "m", lipschitz: "L", epsilon: "ε", failure: "ζ" };
const raised = (power) => `10${String(power).replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]))}`;
/** 0.0025, 12,000 or 2.5 × 10⁻⁷. */
const plain = (value, digits = 4) => {
  if (value >= 1e-4) return Number(value.toPrecision(digits)).toLocaleString("en-US", { maximumFractionDigits: 9 });
  const [mantissa, power] = value.toExponential(1).split("e");
  return mantissa === "1.0" ? raised(Number(power)) : `${Number(mantissa)} × ${raised(Number(power))}`;
};
/** Of a part that is neither nothing nor all. */
const percent = (part) => `${Math.min(99.9, Math.max(0.1, 100 * part)).toFixed(1)} %`;
/** The number with this natural logarithm. */
const power = (log) => (log < 9 ? plain(Math.exp(log), 2) : `about ${raised(Math.round(log / Math.LN10))}`);

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const FRAME = { top: 8, right: 10, bottom: 22, left: 34 };

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** The slider of one number, and the samples against it while the others are held. */
class Part {
  constructor(name, onChange) {
    this.name = name;
    this.ticks = ticks(name);
    this.input = make("input", { type: "range", min: 0, max: this.ticks.length - 1, step: 1, "data-trait": name });
    this.input.addEventListener("input", () => onChange(name, this.ticks[Number(this.input.value)]));
    this.value = make("span", { class: "gc-value" });
    this.label = make("label", {}, make("span", {}, `${NAMES[name]}\u00a0`, make("i", {}, SIGNS[name])), this.input, this.value);
    this.back = make("g", { class: "gc-axes", "aria-hidden": "true" });
    this.curve = make("path", { class: "gc-curve gc-critic" });
    this.dot = make("circle", { r: 5, class: "gc-dot gc-data" });
    this.svg = make("svg", { class: "gc-plot", role: "img" }, this.back, this.curve, this.dot);
    this.holder = make("div", {}, this.svg);
    this.node = make("div", { class: "gc-part" }, this.label, this.holder);
  }

  x(value) {
    const [low, high] = LIMITS[this.name].map(Math.log);
    return FRAME.left + ((Math.log(value) - low) / (high - low)) * (this.width - FRAME.left - FRAME.right);
  }

  y(samples) {
    return FRAME.top + (1 - Math.log(samples) / Math.log(TOP)) * (HEIGHT - FRAME.top - FRAME.bottom);
  }

  resize(width) {
    this.width = width;
    for (const [key, value] of Object.entries({ width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` })) this.svg.setAttribute(key, value);
    const text = (x, y, anchor, words) => make("text", { x, y, "text-anchor": anchor }, words);
    const [left, right] = LIMITS[this.name].map((end) => this.x(end));
    const levels = [0, 4, 8, 12].flatMap((power) => {
      const y = this.y(10 ** power);
      return [make("line", { x1: left, x2: right, y1: y, y2: y, class: "gc-grid", "data-power": power }), text(left - 5, y + 4, "end", power ? raised(power) : "1")];
    });
    const ends = LIMITS[this.name].map((end) => (end > 1e3 ? raised(Math.round(Math.log10(end))) : plain(end)));
    this.back.replaceChildren(...levels, text(left, HEIGHT - 5, "start", ends[0]), text(right, HEIGHT - 5, "end", ends[1]));
  }

  draw(state, found) {
    const value = state[this.name];
    // A value between two of the slider's stands at the nearer.
    const off = this.ticks.map((tick) => Math.abs(Math.log(tick / value)));
    this.input.value = off.indexOf(Math.min(...off));
    this.input.setAttribute("aria-valuetext", `${SIGNS[this.name]} = ${plain(value)}`);
    this.value.textContent = plain(value);
    const place = (at) => [this.x(at), this.y(evaluate({ ...state, [this.name]: at }).samples)].map((pixel) => pixel.toFixed(1));
    this.curve.setAttribute("d", this.ticks.map((at, i) => `${i ? "L" : "M"}${place(at).join(" ")}`).join(""));
    const [cx, cy] = place(value);
    for (const [key, pixel] of Object.entries({ cx, cy, "data-x": value, "data-y": found.samples })) this.dot.setAttribute(key, pixel);
    const [from, to] = [this.ticks[0], this.ticks.at(-1)].map((at) => evaluate({ ...state, [this.name]: at }).samples);
    this.svg.setAttribute("aria-label", `Samples against ${SIGNS[this.name]}, others held: from ${plain(from, 15)} to ${plain(to, 15)}, here ${plain(found.samples, 15)}.`);
  }
}

function readouts() {
  const cells = Object.fromEntries(["samples", "alone", "log_net", "share", "radius"].map((key) => [key, make("span", { "data-readout": key })]));
  const note = (...words) => make("p", { class: "gc-fine" }, ...words);
  const size = make("span");
  const bar = make("span", { class: "gc-due" });
  const part = (name, key, below) => make("div", {}, make("p", {}, name), make("p", { class: "gc-number" }, cells[key]), below);
  const box = make(
    "div",
    { class: "gc-stats" },
    part("Samples N", "samples", note("for all critics at once")),
    part("One critic alone", "alone", note("needs no net")),
    part("Natural log of the net’s size", "log_net", note(size, " points, radius ", cells.radius)),
    part("Due to the net", "share", make("div", {}, note("of the bracket"), make("div", { class: "gc-split", "aria-hidden": "true" }, bar))),
  );
  const sum = make("p", { class: "gc-sum" });
  const update = ({ epsilon, failure }, found) => {
    const texts = { samples: plain(found.samples, 15), alone: plain(found.alone, 15), log_net: plain(found.log_net, 5), share: percent(found.share), radius: plain(found.radius) };
    for (const [key, node] of Object.entries(cells)) {
      node.textContent = texts[key];
      node.dataset.value = found[key];
    }
    size.textContent = power(found.log_net);
    bar.style.width = `${100 * found.share}%`;
    const terms = [8 / (epsilon * epsilon), found.log_net, Math.log(2 / failure)].map((term) => plain(term, 5));
    sum.textContent = `N = ⌈8/ε² · (m log(1 + 8L/ε) + log(2/ζ))⌉ = ⌈${terms[0]} · (${terms[1]} + ${terms[2]})⌉`;
  };
  return { box, sum, update };
}

/** Says the numbers once the hand is still. */
function announcer() {
  const node = make("p", { class: "gc-spoken", role: "status" });
  let timer = null;
  const say = (state) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const found = evaluate(state());
      node.textContent = `${plain(found.samples, 15)} samples; ${percent(found.share)} of the bracket due to the net`;
    }, QUIET);
  };
  return { node, say, stop: () => clearTimeout(timer) };
}

function render({ model, el }) {
  const state = () => Object.fromEntries(STATE.map((key) => [key, model.get(key)]));
  const first = state();
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  const spoken = announcer();
  let frame = null;

  const change = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    tell();
  };
  const parts = STATE.map((name) => new Part(name, (key, value) => change({ [key]: value })));
  const { box: numbers, sum, update: updateNumbers } = readouts();
  const reset = make("button", { type: "button", class: "gc-button" }, "Reset");
  reset.addEventListener("click", () => change(first));

  const draw = () => {
    frame = null;
    const found = evaluate(state());
    for (const part of parts) part.draw(state(), found);
    updateNumbers(state(), found);
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };
  const changed = () => {
    schedule();
    spoken.say(state);
  };

  el.classList.add("gc", "gc-calculator");
  // JupyterLab would take the arrow keys of a slider for its own shortcuts.
  el.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  const title = make("p", { class: "gc-fine" }, "Samples N against each number, the others held; both axes are logarithmic.");
  el.append(title, make("div", { class: "gc-four" }, ...parts.map((part) => part.node)), numbers, make("div", { class: "gc-bar" }, sum, reset), spoken.node);

  const observer = new ResizeObserver(() => {
    for (const part of parts) {
      const width = Math.floor(part.holder.clientWidth);
      if (width > 0 && width !== part.width) part.resize(width);
    }
    schedule();
  });
  for (const part of parts) {
    part.resize(160);
    observer.observe(part.holder);
  }
  const events = STATE.map((key) => `change:${key}`);
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
