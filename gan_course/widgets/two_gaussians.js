// Two Gaussians to drag: data N(mean, 1), generator N(mu, s^2), the discriminator
// D* = p / (p + q) that is best between them, and what the generator feels of it.

export const LIMITS = { mean: [-8, 8], mu: [-8, 8], s: [0.25, 3] };

const LOG2 = Math.LN2;
const HALF_LOG_TAU = 0.5 * Math.log(2 * Math.PI);
const softplus = (t) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));
const sigmoid = (t) => 1 / (1 + Math.exp(-t));
const density = (x, mean, s) => Math.exp(-0.5 * ((x - mean) / s) ** 2 - HALF_LOG_TAU) / s;

/** D*(x) = p(x) / (p(x) + q(x)), from the logarithms of p and q, so that no tail underflows. */
export function discriminator(x, mean, mu, s) {
  return sigmoid(-0.5 * (x - mean) ** 2 + 0.5 * ((x - mu) / s) ** 2 + Math.log(s));
}

/**
 * Divergences, both generator losses at D* and their gradients with D frozen at D*.
 * Trapezoids with `perUnit` points on the smaller standard deviation: the integrands are analytic
 * and vanish at both ends, so the error falls exponentially with `perUnit`.
 */
export function evaluate(mean, mu, s, perUnit = 32) {
  const lo = Math.min(mean - 12, mu - 12 * s);
  const hi = Math.max(mean + 12, mu + 12 * s);
  const n = Math.ceil(((hi - lo) * perUnit) / Math.min(1, s));
  const h = (hi - lo) / n;
  const sum = { js: 0, lossMinimax: 0, lossNonSaturating: 0, gradientMinimax: 0, gradientNonSaturating: 0 };
  for (let i = 0; i <= n; i += 1) {
    const x = lo + i * h;
    const logP = -0.5 * (x - mean) ** 2 - HALF_LOG_TAU;
    const logQ = -0.5 * ((x - mu) / s) ** 2 - HALF_LOG_TAU - Math.log(s);
    const logit = logP - logQ;
    const slope = (x - mu) / (s * s) - (x - mean);
    const q = Math.exp(logQ);
    const logD = -softplus(-logit);
    const logOneMinusD = -softplus(logit);
    sum.js += 0.5 * (Math.exp(logP) * (LOG2 + logD) + q * (LOG2 + logOneMinusD));
    sum.lossMinimax += q * logOneMinusD;
    sum.lossNonSaturating -= q * logD;
    sum.gradientMinimax -= q * sigmoid(logit) * slope;
    sum.gradientNonSaturating -= q * sigmoid(-logit) * slope;
  }
  const kl = -Math.log(s) + 0.5 * (s * s + (mu - mean) ** 2 - 1);
  return {
    js: sum.js * h,
    kl,
    loss_minimax: sum.lossMinimax * h,
    loss_nonsaturating: sum.lossNonSaturating * h,
    gradient_minimax: sum.gradientMinimax * h,
    gradient_nonsaturating: sum.gradientNonSaturating * h,
  };
}

/** The read-outs at mu = mean + gap, for the gaps that the panels need; they depend on the gap and s only. */
export function sweep(s) {
  const gaps = Array.from({ length: 129 }, (_, i) => 16 * (i / 128) ** 1.5);
  return { gaps, values: gaps.map((gap) => evaluate(0, gap, s, 8)) };
}

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
const PRESETS = [
  ["Together", { mean: 0, mu: 0, s: 1 }],
  ["Apart", { mean: 0, mu: 3, s: 1 }],
  ["Far apart", { mean: 0, mu: 8, s: 1 }],
];
const NAMES = { mean: "Data mean", mu: "Generator mean", s: "Generator spread" };
const SYMBOLS = { mean: "m", mu: "μ", s: "s" };
const STEP = { mean: 0.1, mu: 0.1, s: 0.05 };

let instances = 0;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect", "clipPath", "defs"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));
const minus = (text) => text.replace("-", "−");

function round(key, value) {
  return clamp(Number((Math.round(value / 0.01) * 0.01).toFixed(2)), LIMITS[key]);
}

/** A number for people: four decimals, or a power of ten where these would show too little. */
export function show(value) {
  if (Math.abs(value) < 1e-12) return "0";
  if (Math.abs(value) >= 1e-3) return minus(value.toFixed(4));
  const [digits, exponent] = value.toExponential(2).split("e");
  const raised = exponent.replace("+", "").replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
  return `${minus(digits)}·10${raised}`;
}

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** An SVG with a frame, a clipped layer for curves, and linear scales that follow its width. */
class Panel {
  constructor(height, margin, attributes) {
    this.id = `gc-clip-${(instances += 1)}`;
    this.height = height;
    this.margin = margin;
    this.clip = make("rect");
    this.axes = make("g", { class: "gc-axes", "aria-hidden": "true" });
    this.curves = make("g", { "clip-path": `url(#${this.id})`, "aria-hidden": "true" });
    this.front = make("g");
    const defs = make("defs", {}, make("clipPath", { id: this.id }, this.clip));
    this.svg = make("svg", { class: "gc-plot", height, ...attributes }, defs, this.axes, this.curves, this.front);
  }

  resize(width) {
    const { top, right, bottom, left } = this.margin;
    this.width = width;
    this.box = { x0: left, x1: width - right, y0: this.height - bottom, y1: top };
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    const { x0, x1, y0, y1 } = this.box;
    for (const [key, value] of Object.entries({ x: x0, y: y1, width: Math.max(1, x1 - x0), height: y0 - y1 }))
      this.clip.setAttribute(key, value);
  }

  scaleX(low, high) {
    const { x0, x1 } = this.box;
    this.x = (v) => x0 + ((v - low) / (high - low)) * (x1 - x0);
    this.unx = (pixel) => low + ((pixel - x0) / (x1 - x0)) * (high - low);
  }

  scaleY(low, high, y0 = this.box.y0, y1 = this.box.y1) {
    return (v) => y0 + ((v - low) / (high - low)) * (y1 - y0);
  }

  ticksX(values, label) {
    const { y0, y1 } = this.box;
    for (const v of values) {
      this.axes.append(make("line", { x1: this.x(v), x2: this.x(v), y1: y0, y2: y1, class: "gc-grid" }));
      this.axes.append(make("text", { x: this.x(v), y: y0 + 15, "text-anchor": "middle" }, minus(String(v))));
    }
    if (label) {
      const middle = (this.box.x0 + this.box.x1) / 2;
      this.axes.append(make("text", { x: middle, y: y0 + 31, "text-anchor": "middle" }, label));
    }
  }

  ticksY(scale, ticks, side = "left") {
    const { x0, x1 } = this.box;
    for (const [v, text] of ticks) {
      const at = side === "left" ? { x: x0 - 6, "text-anchor": "end" } : { x: x1 + 6, "text-anchor": "start" };
      if (side === "left") this.axes.append(make("line", { x1: x0, x2: x1, y1: scale(v), y2: scale(v), class: "gc-grid" }));
      this.axes.append(make("text", { ...at, y: scale(v) + 4 }, text));
    }
  }

  curve(points, cls) {
    this.curves.append(make("path", { d: line(points), class: `gc-curve ${cls}` }));
  }

  clear() {
    this.axes.replaceChildren();
    this.curves.replaceChildren();
  }
}

/** A focusable SVG handle with the role of a slider. */
function handle(key, onMove) {
  const shape = key === "s" ? make("path", { d: "M0-8 8 0 0 8-8 0Z" }) : make("circle", { r: 7.5 });
  const node = make(
    "g",
    {
      class: `gc-handle gc-${key === "mean" ? "data" : "generator"}`,
      tabindex: 0,
      role: "slider",
      "aria-label": NAMES[key],
      "aria-valuemin": LIMITS[key][0],
      "aria-valuemax": LIMITS[key][1],
    },
    make("circle", { r: 16, class: "gc-reach" }),
    shape,
  );
  node.addEventListener("keydown", (event) => {
    const value = Number(node.getAttribute("aria-valuenow"));
    const step = event.shiftKey ? 10 * STEP[key] : STEP[key];
    const next = {
      ArrowRight: value + step,
      ArrowUp: value + step,
      ArrowLeft: value - step,
      ArrowDown: value - step,
      PageUp: value + 10 * STEP[key],
      PageDown: value - 10 * STEP[key],
      Home: LIMITS[key][0],
      End: LIMITS[key][1],
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    onMove(key, next);
  });
  return node;
}

/** Follow the pointer from `node`: `onMove(key, value)` with the value under it, the grip kept. */
function draggable(node, key, panel, state, onMove) {
  let grip = null;
  const under = (event) => panel.unx(event.clientX - panel.svg.getBoundingClientRect().left);
  const value = () => (key === "s" ? state().mu + state().s : state()[key]);
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    grip = under(event) - value();
    node.setPointerCapture(event.pointerId);
    node.classList.add("gc-dragging");
  });
  // Chromium heeds `touch-action` on a whole SVG only; a touch on a bell may still scroll the page.
  const still = (event) => grip !== null && event.cancelable && event.preventDefault();
  if (node.classList.contains("gc-handle")) node.addEventListener("touchmove", still, { passive: false });
  node.addEventListener("pointermove", (event) => {
    if (grip === null) return;
    const target = under(event) - grip;
    onMove(key, key === "s" ? target - state().mu : target);
  });
  for (const end of ["pointerup", "pointercancel"])
    node.addEventListener(end, () => {
      grip = null;
      node.classList.remove("gc-dragging");
    });
}

class DensityPanel extends Panel {
  constructor(state, onMove) {
    super(230, { top: 14, right: 34, bottom: 24, left: 34 }, { role: "group", "aria-label": "Densities of data and generator; the handles move them" });
    this.bells = {
      mean: make("path", { class: "gc-bell gc-data", "aria-hidden": "true" }),
      mu: make("path", { class: "gc-bell gc-generator", "aria-hidden": "true" }),
    };
    this.handles = { mean: handle("mean", onMove), mu: handle("mu", onMove), s: handle("s", onMove) };
    this.critic = make("path", { class: "gc-curve gc-critic", "aria-hidden": "true" });
    const clipped = make("g", { "clip-path": `url(#${this.id})` }, ...Object.values(this.bells), this.critic);
    this.front.append(clipped, ...Object.values(this.handles));
    for (const [key, node] of Object.entries(this.handles)) draggable(node, key, this, state, onMove);
    for (const [key, node] of Object.entries(this.bells)) draggable(node, key, this, state, onMove);
  }

  draw({ mean, mu, s }, withCritic) {
    this.clear();
    this.scaleX(-11, 11);
    const peak = 1.12 * Math.max(density(0, 0, 1), density(0, 0, s));
    const y = this.scaleY(0, peak);
    const unit = this.scaleY(0, 1.12);
    this.ticksX(this.width < 480 ? [-10, -5, 0, 5, 10] : [-10, -8, -6, -4, -2, 0, 2, 4, 6, 8, 10]);
    const spacing = peak > 1 ? 0.5 : 0.2;
    const count = Math.floor(peak / spacing);
    this.ticksY(y, Array.from({ length: count + 1 }, (_, i) => [i * spacing, (i * spacing).toFixed(1)]));
    if (withCritic) this.ticksY(unit, [[0, "0"], [0.5, "½"], [1, "1"]], "right");
    const xs = Array.from({ length: 441 }, (_, i) => -11 + i / 20);
    const bell = (m, sd) => {
      const near = [...xs, m].sort((a, b) => a - b);
      return `${line(near.map((x) => [this.x(x), y(density(x, m, sd))]))}L${this.x(11)} ${y(0)}L${this.x(-11)} ${y(0)}Z`;
    };
    this.bells.mean.setAttribute("d", bell(mean, 1));
    this.bells.mu.setAttribute("d", bell(mu, s));
    this.critic.setAttribute(
      "d",
      withCritic ? line(xs.map((x) => [this.x(x), unit(discriminator(x, mean, mu, s))])) : "",
    );
    const place = (key, x, height, value) => {
      const node = this.handles[key];
      node.setAttribute("transform", `translate(${this.x(x).toFixed(1)} ${y(height).toFixed(1)})`);
      node.setAttribute("aria-valuenow", value);
      node.setAttribute("aria-valuetext", `${SYMBOLS[key]} = ${minus(value.toFixed(2))}`);
    };
    place("mean", mean, density(0, 0, 1), mean);
    place("mu", mu, density(0, 0, s), mu);
    place("s", mu + s, density(s, 0, s), s);
  }
}

const KINDS = ["minimax", "nonsaturating"];

/** Mirrors a sweep over gaps >= 0 about the data mean. */
function mirrored({ gaps, values }, mean, field) {
  const right = gaps.map((gap, i) => [mean + gap, values[i][field]]);
  return [...right.slice(1).map(([x, v]) => [2 * mean - x, v]).reverse(), ...right];
}

class LossPanel extends Panel {
  constructor() {
    super(230, { top: 10, right: 12, bottom: 38, left: 50 }, { role: "img" });
  }

  draw({ mean, mu }, table, now) {
    this.clear();
    this.scaleX(-8, 8);
    this.ticksX([-8, -4, 0, 4, 8], "generator mean μ");
    const { y0, y1 } = this.box;
    const middle = y1 + 0.5 * (y0 - y1);
    const curves = KINDS.map((kind) => mirrored(table, mean, `loss_${kind}`));
    const inside = curves[1].filter(([x]) => x >= -8 && x <= 8).map(([, v]) => v);
    const spacing = [1, 2, 5, 10, 20, 40].find((t) => t >= Math.max(...inside) / 4) ?? 50;
    const high = spacing * Math.ceil((1.02 * Math.max(...inside)) / spacing);
    const scales = [this.scaleY(-0.75, 0.06, y0, middle + 12), this.scaleY(0, high, middle - 8, y1)];
    this.ticksY(scales[0], [[0, "0"], [-LOG2, "−log 2"]]);
    this.ticksY(scales[1], Array.from({ length: high / spacing + 1 }, (_, i) => [i * spacing, `${i * spacing}`]));
    this.axes.append(make("line", { x1: this.x(mu), x2: this.x(mu), y1: y0, y2: y1, class: "gc-here" }));
    KINDS.forEach((kind, i) => {
      this.curve(curves[i].map(([x, v]) => [this.x(x), scales[i](v)]), `gc-${kind}`);
      const at = { cx: this.x(mu), cy: scales[i](now[`loss_${kind}`]), r: 5, class: `gc-dot gc-${kind}` };
      this.curves.append(make("circle", at));
    });
    this.svg.setAttribute(
      "aria-label",
      `Losses of the generator at the best discriminator against its mean; here minimax ${show(now.loss_minimax)}, non-saturating ${show(now.loss_nonsaturating)}`,
    );
  }
}

const power = (exponent) => `10${minus(String(exponent)).replace(/./g, (c) => (c === "−" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]))}`;

class GradientPanel extends Panel {
  constructor() {
    super(230, { top: 10, right: 12, bottom: 38, left: 50 }, { role: "img" });
  }

  draw({ mean, mu }, table, now) {
    this.clear();
    this.scaleX(-8, 8);
    this.ticksX([-8, -4, 0, 4, 8], "generator mean μ");
    const { y0, y1 } = this.box;
    const curves = KINDS.map((kind) => mirrored(table, mean, `gradient_${kind}`).map(([x, v]) => [x, Math.log10(Math.abs(v))]));
    const ends = curves[0].filter(([x]) => Math.abs(x) <= 8 && Math.abs(x - mean) > 0.5).map(([, v]) => v);
    const low = Math.max(-30, Math.min(-3, Math.floor(Math.min(...ends))));
    const every = Math.ceil((2 - low) / 6);
    const scale = this.scaleY(low - 0.3, 2.3);
    const ticks = [];
    for (let e = low + ((every - (low % every)) % every); e <= 2; e += every) ticks.push([e, power(e)]);
    this.ticksY(scale, ticks);
    this.axes.append(make("line", { x1: this.x(mu), x2: this.x(mu), y1: y0, y2: y1, class: "gc-here" }));
    KINDS.forEach((kind, i) => {
      const floor = (v) => scale(Math.max(v, low - 1));
      this.curve(curves[i].map(([x, v]) => [this.x(x), floor(v)]), `gc-${kind}`);
      const value = Math.log10(Math.abs(now[`gradient_${kind}`]));
      const at = { cx: this.x(mu), cy: scale(clamp(value, [low - 0.3, 2.3])), r: 5, class: `gc-dot gc-${kind}` };
      this.curves.append(make("circle", at));
    });
    this.svg.setAttribute(
      "aria-label",
      `Sizes of the generator's gradients with the discriminator frozen, on a logarithmic axis, against its mean; here minimax ${show(now.gradient_minimax)}, non-saturating ${show(now.gradient_nonsaturating)}`,
    );
  }
}

const swatch = (kind) => make("span", { class: `gc-swatch gc-${kind}`, "aria-hidden": "true" });

function readouts() {
  const cells = {};
  const cell = (key, tag = "td") => (cells[key] = make(tag, { "data-readout": key }));
  const row = (title, field) =>
    make("tr", {}, make("th", { scope: "row" }, title), ...KINDS.map((kind) => cell(`${field}_${kind}`)));
  const head = make(
    "tr",
    {},
    make("td"),
    make("th", { scope: "col" }, swatch("minimax"), "minimax"),
    make("th", { scope: "col" }, swatch("nonsaturating"), "non-saturating"),
  );
  const table = make(
    "table",
    { class: "gc-readout" },
    make("thead", {}, head),
    make("tbody", {}, row("Loss at D*", "loss"), row("Gradient, D* frozen", "gradient")),
  );
  const divergences = make(
    "p",
    { class: "gc-divergences" },
    make("span", {}, "JS(p, q) = ", cell("js", "span")),
    make("span", {}, `log 2 = ${show(LOG2)}`),
    make("span", {}, "KL(q ‖ p) = ", cell("kl", "span")),
  );
  const update = (now) => {
    for (const [key, node] of Object.entries(cells)) {
      node.textContent = show(now[key]);
      node.dataset.value = now[key];
    }
  };
  return { nodes: [divergences, table], update };
}

function sliders(state, onMove) {
  const inputs = {};
  const box = make("div", { class: "gc-sliders" });
  for (const key of ["mean", "mu", "s"]) {
    const [min, max] = LIMITS[key];
    const input = make("input", { type: "range", min, max, step: STEP[key], "data-trait": key });
    const value = make("span", { class: "gc-value" });
    input.addEventListener("input", () => onMove(key, Number(input.value)));
    inputs[key] = { input, value };
    const name = make("span", {}, `${NAMES[key]} `, make("i", {}, SYMBOLS[key]));
    box.append(make("label", {}, name, input, value));
  }
  const update = () => {
    for (const [key, { input, value }] of Object.entries(inputs)) {
      input.value = state()[key];
      value.textContent = minus(state()[key].toFixed(2));
    }
  };
  return { box, update };
}

function toggle(text, kind, onChange) {
  const input = make("input", { type: "checkbox" });
  input.checked = true;
  input.addEventListener("change", () => onChange(input.checked));
  return make("label", {}, input, ...(kind ? [swatch(kind)] : []), text);
}

function render({ model, el }) {
  const state = () => ({ mean: model.get("mean"), mu: model.get("mu"), s: model.get("s") });
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  const shown = { critic: true };
  let table = null;
  let frame = null;

  const move = (key, value) => {
    model.set(key, round(key, value));
    tell();
  };
  const densities = new DensityPanel(state, move);
  const losses = new LossPanel();
  const gradients = new GradientPanel();
  const panels = [densities, losses, gradients];
  const { nodes: numbers, update: updateNumbers } = readouts();
  const { box: ranges, update: updateRanges } = sliders(state, move);

  const draw = () => {
    frame = null;
    const now = state();
    const readout = evaluate(now.mean, now.mu, now.s);
    if (table?.s !== now.s) table = { s: now.s, ...sweep(now.s) };
    densities.draw(now, shown.critic);
    losses.draw(now, table, readout);
    gradients.draw(now, table, readout);
    updateNumbers(readout);
    updateRanges();
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };

  const presets = make("div", { class: "gc-row", role: "group", "aria-label": "Presets" });
  for (const [name, values] of PRESETS) {
    const button = make("button", { type: "button", class: "gc-button" }, name);
    button.addEventListener("click", () => {
      for (const [key, value] of Object.entries(values)) model.set(key, value);
      tell();
    });
    presets.append(button);
  }
  const part = (title, panel) => make("div", { class: "gc-part" }, make("p", { class: "gc-title" }, title), panel.svg);
  const lossPart = part("Generator's loss, D* following", losses);
  const gradientPart = part("Generator's |gradient|, D* frozen", gradients);
  const show_ = (node) => (visible) => node.classList.toggle("gc-hidden", !visible);
  const toggles = make(
    "div",
    { class: "gc-row gc-toggles", role: "group", "aria-label": "Show" },
    toggle("D*", "critic", (on) => {
      shown.critic = on;
      schedule();
    }),
    toggle("losses", null, show_(lossPart)),
    toggle("gradients", null, show_(gradientPart)),
  );
  const key = make(
    "p",
    { class: "gc-key" },
    make("span", {}, swatch("data"), "data p"),
    make("span", {}, swatch("generator"), "generator q"),
    make("span", {}, swatch("critic"), "D* = p / (p + q), right axis"),
  );
  el.classList.add("gc");
  // JupyterLab would take the arrow keys of a slider for its own shortcuts.
  el.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  el.append(
    make("div", { class: "gc-bar" }, presets, toggles),
    key,
    densities.svg,
    ranges,
    make("div", { class: "gc-parts" }, lossPart, gradientPart),
    ...numbers,
  );

  const observer = new ResizeObserver(() => {
    for (const panel of panels) {
      const width = Math.floor(panel.svg.parentElement.clientWidth);
      if (width > 0 && width !== panel.width) panel.resize(width);
    }
    schedule();
  });
  for (const panel of panels) {
    panel.resize(panel === densities ? 640 : 312);
    observer.observe(panel.svg.parentElement);
  }
  const events = ["change:mean", "change:mu", "change:s"];
  for (const event of events) model.on(event, schedule);
  draw();
  return () => {
    observer.disconnect();
    for (const event of events) model.off(event, schedule);
    if (frame !== null) cancelAnimationFrame(frame);
  };
}

export default { render };
