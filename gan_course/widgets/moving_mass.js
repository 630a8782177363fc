// Two histograms to drag: data p above, generator q below, between them the mass that moves from
// one to the other at the least cost, and under them the dual potential.

export const BINS = 8;

const SAME = 1e-12; // rounding leaves the distribution functions less than this apart
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** The masses with one of them set; the others keep their proportions, or share alike if all are empty. */
export function withMass(masses, index, value) {
  const others = masses.map((mass, i) => (i === index ? 0 : mass));
  const rest = sum(others);
  const share = (mass) => (1 - value) * (rest > 0 ? mass / rest : 1 / (masses.length - 1));
  return others.map((mass, i) => (i === index ? value : share(mass)));
}

/** The masses moved by whole bins, or null where some would fall off the end. */
export function moved(masses, by) {
  const lost = by > 0 ? masses.slice(-by) : masses.slice(0, -by);
  return sum(lost) > 0 ? null : masses.map((_, i) => masses[i - by] ?? 0);
}

/** F - G after each bin but the last, of the distribution functions of p and q. */
export function excess(p, q) {
  let gap = 0;
  return p.slice(0, -1).map((mass, i) => {
    gap += mass - q[i];
    return Math.abs(gap) > SAME ? gap : 0;
  });
}

/** The monotone coupling: what moves from which bin of p to which bin of q, left to right. */
export function coupling(p, q) {
  const moves = [];
  let [from, to] = [0, 0];
  let [left, wanted] = [p[0], q[0]];
  while (from < p.length && to < q.length) {
    const mass = Math.min(left, wanted);
    if (mass > SAME) moves.push({ from, to, mass });
    left -= mass;
    wanted -= mass;
    if (left <= 0) left = p[(from += 1)];
    else wanted = q[(to += 1)];
  }
  return moves;
}

/**
 * A best critic at the bins: it falls by 1 where F > G, rises by 1 where F < G, and is level where
 * the two agree, though any slope from -1 to 1 would serve there. Its mean under q is 0.
 */
export function potential(p, q) {
  const f = [0];
  for (const gap of excess(p, q)) f.push(f.at(-1) - Math.sign(gap));
  const level = sum(f.map((value, i) => value * q[i]));
  return f.map((value) => value - level);
}

/** Cost of the coupling, value of the dual at the potential, JS (natural logarithm) and TV. */
export function evaluate(p, q) {
  const f = potential(p, q);
  const half = (a, b) => (a > 0 ? 0.5 * a * Math.log((2 * a) / (a + b)) : 0);
  return {
    w1: sum(coupling(p, q).map(({ from, to, mass }) => mass * Math.abs(from - to))),
    dual: sum(f.map((value, i) => value * (p[i] - q[i]))),
    js: sum(p.map((mass, i) => half(mass, q[i]) + half(q[i], mass))),
    tv: 0.5 * sum(p.map((mass, i) => Math.abs(mass - q[i]))),
  };
}

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
const ONE = [0.2, 0.6, 0.2, 0, 0, 0, 0, 0];
const TWO = [0.1, 0.3, 0.1, 0, 0, 0.1, 0.3, 0.1];
const PRESETS = [
  ["Shift", () => ({ p: ONE, q: moved(ONE, 4) })],
  ["Split", () => ({ p: TWO, q: [0, 0, 0.1, 0.4, 0.4, 0.1, 0, 0] })],
  ["Missing mode", () => ({ p: TWO, q: ONE })],
  ["Equal", ({ p }) => ({ p, q: p })],
];
const SIDES = { p: { name: "Data", kind: "data", up: 1 }, q: { name: "Generator", kind: "generator", up: -1 } };
const STEP = 0.01;
const GLIDE = 350; // milliseconds from one preset to the next
const QUIET = 700; // milliseconds without a change before the numbers are spoken

let instances = 0;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect", "stop", "linearGradient", "defs"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
/** None of the numbers is negative, and equal ones shall look equal: what rounding adds does not show. */
const show = (value) => (Math.max(value, 0) + 1e-9).toFixed(4);
const points = (list) => list.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** An SVG as wide as its place, with one column for each bin. */
class Panel {
  constructor(attributes) {
    this.back = make("g", { class: "gc-axes", "aria-hidden": "true" });
    this.svg = make("svg", { class: "gc-plot", ...attributes }, this.back);
  }

  resize(width) {
    this.width = width;
    this.slot = (width - 30) / BINS;
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", this.height);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
  }

  x(bin) {
    return 26 + (bin + 0.5) * this.slot;
  }

  rule(y, cls = "gc-grid") {
    this.back.append(make("line", { x1: 26, x2: this.width - 4, y1: y, y2: y, class: cls }));
  }

  text(x, y, text, anchor = "middle") {
    this.back.append(make("text", { x, y, "text-anchor": anchor }, text));
  }

  places(y) {
    for (let bin = 0; bin < BINS; bin += 1) this.text(this.x(bin), y, bin + 1);
  }
}

/** Follow a pointer that holds `node`, from where it took hold: `onMove(pixels up from there)`. */
function draggable(node, onTake, onMove) {
  let hold = null;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || hold) return;
    hold = { id: event.pointerId, y: event.clientY };
    node.setPointerCapture(event.pointerId);
    node.classList.add("gc-dragging");
    onTake();
  });
  // Chromium heeds `touch-action` on a whole SVG only, and elsewhere the page shall scroll.
  const still = (event) => hold && event.cancelable && event.preventDefault();
  node.addEventListener("touchmove", still, { passive: false });
  node.addEventListener("pointermove", (event) => {
    if (event.pointerId === hold?.id) onMove(hold.y - event.clientY);
  });
  for (const end of ["pointerup", "pointercancel"])
    node.addEventListener(end, (event) => {
      if (event.pointerId !== hold?.id) return;
      hold = null;
      node.classList.remove("gc-dragging");
    });
}

/** One bar: a slider whose whole body, and a finger's breadth beyond its end, can be held. */
class Bar {
  constructor(side, bin, panel, masses, onMove) {
    this.side = SIDES[side];
    this.bin = bin;
    this.panel = panel;
    this.reach = make("path", { class: "gc-reach" });
    this.body = make("path", { class: "gc-body" });
    this.cap = make("path", { class: "gc-cap" });
    this.label = make("text", { "text-anchor": "middle", "aria-hidden": "true" });
    const slider = {
      class: `gc-mass gc-${this.side.kind}`,
      tabindex: 0,
      role: "slider",
      "aria-label": `${this.side.name} mass at ${bin + 1}`,
      "aria-orientation": "vertical",
      "aria-valuemin": 0,
      "aria-valuemax": 1,
    };
    this.node = make("g", slider, this.reach, this.body, this.cap, this.label);
    const mass = () => masses(side)[bin];
    const set = (value) => onMove(side, bin, clamp(Number(value.toFixed(2)), 0, 1));
    let start = 0;
    draggable(
      this.node,
      () => (start = mass()),
      (pixels) => set(start + (this.side.up * pixels) / panel.unit),
    );
    this.node.addEventListener("keydown", (event) => this.key(event, mass(), set));
  }

  key(event, mass, set) {
    const step = event.shiftKey ? 10 * STEP : STEP;
    const next = {
      ArrowRight: mass + step,
      ArrowUp: mass + step,
      ArrowLeft: mass - step,
      ArrowDown: mass - step,
      PageUp: mass + 10 * STEP,
      PageDown: mass - 10 * STEP,
      Home: 0,
      End: 1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    set(next);
  }

  draw(mass) {
    const { panel, side } = this;
    const [x, base] = [panel.x(this.bin), panel.base[side.kind]];
    const box = (half, from, to) => `M${x - half} ${from}H${x + half}V${to}H${x - half}Z`;
    const end = base - side.up * panel.unit * mass;
    const wide = 0.36 * panel.slot;
    this.reach.setAttribute("d", box(panel.slot / 2, base, end - side.up * 26));
    this.body.setAttribute("d", box(wide, base, end));
    this.cap.setAttribute("d", `M${x - wide} ${end}H${x + wide}`);
    this.label.setAttribute("x", x);
    this.label.setAttribute("y", end - side.up * 7 + (side.up < 0 ? 8 : 0));
    this.label.textContent = mass >= 0.005 ? mass.toFixed(2) : "";
    this.node.setAttribute("aria-valuenow", mass);
    this.node.setAttribute("aria-valuetext", mass.toFixed(2));
  }
}

class MassPanel extends Panel {
  constructor(masses, onMove) {
    super({ role: "group", "aria-label": "Masses of data, above, and generator, below; the bars set them" });
    const id = `gc-flow-${(instances += 1)}`;
    this.flow = make("linearGradient", { id, gradientUnits: "userSpaceOnUse", x1: 0, x2: 0 });
    this.flow.append(make("stop", { class: "gc-data" }), make("stop", { offset: 1, class: "gc-generator" }));
    this.ribbons = make("g", { "aria-hidden": "true", style: `--gc-flow: url(#${id})` });
    this.bars = {};
    for (const side of ["p", "q"])
      this.bars[side] = Array.from({ length: BINS }, (_, bin) => new Bar(side, bin, this, masses, onMove));
    this.svg.prepend(make("defs", {}, this.flow));
    this.svg.append(this.ribbons, ...this.bars.p.map((bar) => bar.node), ...this.bars.q.map((bar) => bar.node));
  }

  /** `unit` is the height of a bar that holds all the mass. */
  resize(width) {
    const gap = width < 480 ? 84 : 96;
    this.unit = width < 480 ? 110 : 132;
    this.base = { data: 20 + this.unit, generator: 20 + this.unit + gap };
    this.height = this.base.generator + this.unit + 38;
    super.resize(width);
    this.flow.setAttribute("y1", this.base.data);
    this.flow.setAttribute("y2", this.base.generator);
    this.back.replaceChildren();
    this.places(this.height - 8);
    for (const { kind, up } of Object.values(SIDES)) {
      const base = this.base[kind];
      this.rule(base, "gc-base");
      for (const [mass, text] of [[0.5, "½"], [1, "1"]]) {
        this.rule(base - up * mass * this.unit);
        this.text(20, base - up * mass * this.unit + 4, text, "end");
      }
    }
  }

  draw({ p, q }) {
    const spent = { p: p.map((mass) => -mass / 2), q: q.map((mass) => -mass / 2) };
    const next = (side, bin, mass) => {
      const at = this.x(bin) + this.slot * spent[side][bin];
      spent[side][bin] += mass;
      return at;
    };
    const { data: top, generator: bottom } = this.base;
    const middle = (top + bottom) / 2;
    const ribbon = ({ from, to, mass }) => {
      const [a, b, w] = [next("p", from, mass), next("q", to, mass), this.slot * mass];
      const d = `M${a} ${top}C${a} ${middle} ${b} ${middle} ${b} ${bottom}h${w}C${b + w} ${middle} ${a + w} ${middle} ${a + w} ${top}Z`;
      return make("path", { d, class: from === to ? "gc-stays" : "gc-moves" });
    };
    this.ribbons.replaceChildren(...coupling(p, q).map(ribbon));
    for (const [side, masses] of Object.entries({ p, q })) masses.forEach((mass, bin) => this.bars[side][bin].draw(mass));
  }
}

class PotentialPanel extends Panel {
  constructor() {
    super({ role: "img" });
    this.front = make("g", { "aria-hidden": "true" });
    this.svg.append(this.front);
    this.height = 168;
  }

  draw({ p, q }) {
    const f = potential(p, q);
    const center = (Math.min(...f) + Math.max(...f)) / 2;
    const [low, high] = [center - BINS / 2, center + BINS / 2];
    const y = (value) => 6 + ((high - value) / (high - low)) * (this.height - 42);
    this.back.replaceChildren();
    for (let tick = 2 * Math.ceil(low / 2); tick <= high; tick += 2) {
      this.rule(y(tick));
      this.text(20, y(tick) + 4, String(tick).replace("-", "−"), "end");
    }
    this.places(this.height - 20);
    this.text((26 + this.width) / 2, this.height - 4, "place x");

    const value = sum(f.map((height, i) => height * p[i]));
    const level = (at, kind) => make("line", { x1: 26, x2: this.width - 4, y1: y(at), y2: y(at), class: `gc-level gc-${kind}` });
    const place = (bin) => [this.x(bin), y(f[bin])];
    const pieces = excess(p, q).map((gap, bin) =>
      make("path", { d: points([place(bin), place(bin + 1)]), class: `gc-curve gc-critic${gap ? "" : " gc-free"}` }),
    );
    const dots = f.map((height, bin) => {
      const [cx, cy] = place(bin);
      return make("circle", { cx, cy, r: 3.5, class: "gc-dot gc-critic", "data-value": height });
    });
    const gap = points([[this.width - 7, y(0)], [this.width - 7, y(value)]]);
    this.front.replaceChildren(level(value, "data"), level(0, "generator"), make("path", { d: gap, class: "gc-gap" }), ...pieces, ...dots);
    const slopes = excess(p, q).map((slope) => ["rises", "is level", "falls"][Math.sign(slope) + 1]);
    this.svg.setAttribute("aria-label", `Dual potential; from place to place it ${slopes.join(", ")}. Its mean is ${show(value)} under data and 0 under generator.`);
  }
}

const READOUTS = {
  w1: ["W₁(p, q)", "cost of the moves"],
  dual: ["Σ f (p − q)", "gap of dashed lines"],
  js: ["JS(p, q)", `≤ log 2 = ${show(Math.LN2)}`],
  tv: ["TV(p, q)", "≤ 1"],
};

function readouts() {
  const cells = {};
  const box = make("div", { class: "gc-stats" });
  for (const [key, [name, note]] of Object.entries(READOUTS)) {
    cells[key] = make("p", { "data-readout": key });
    box.append(make("div", {}, make("p", {}, name), cells[key], make("p", { class: "gc-fine" }, note)));
  }
  const update = (now) => {
    for (const [key, node] of Object.entries(cells)) {
      node.textContent = show(now[key]);
      node.dataset.value = now[key];
    }
  };
  return { box, update };
}

/** Says the numbers once the hand is still. */
function announcer() {
  const node = make("p", { class: "gc-spoken", role: "status" });
  let timer = null;
  const say = ({ w1, js, tv }) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      node.textContent = `W1 ${show(w1)}, JS ${show(js)}, TV ${show(tv)}`;
    }, QUIET);
  };
  return { node, say, stop: () => clearTimeout(timer) };
}

const legend = (...entries) => {
  const swatch = (cls) => make("span", { class: `gc-swatch ${cls}`, "aria-hidden": "true" });
  return make("p", { class: "gc-key" }, ...entries.map(([cls, text]) => make("span", {}, swatch(cls), text)));
};

/** Buttons that set the masses: `onSet(p, q)`. */
function controls(state, onSet) {
  const start = state();
  const button = (text, next) => {
    const node = make("button", { type: "button", class: "gc-button" }, text);
    node.addEventListener("click", () => onSet(next(state())));
    return node;
  };
  const presets = PRESETS.map(([name, next]) => button(name, next));
  const arrows = [[-1, "left", "M11 3 5 8l6 5z"], [1, "right", "M5 3l6 5-6 5z"]].map(([by, side, d]) => {
    const icon = make("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, make("path", { d }));
    const node = button(icon, ({ p, q }) => ({ p, q: moved(q, by) ?? q }));
    node.classList.add("gc-icon");
    node.setAttribute("aria-label", `Move generator one place ${side}`);
    return { node, by };
  });
  const nodes = [
    make("div", { class: "gc-row", role: "group", "aria-label": "Presets" }, ...presets),
    make("div", { class: "gc-row" }, make("span", { "aria-hidden": "true" }, "Move q"), ...arrows.map(({ node }) => node), button("Reset", () => start)),
  ];
  const update = ({ q }) => {
    for (const { node, by } of arrows) node.setAttribute("aria-disabled", moved(q, by) === null);
  };
  return { bar: make("div", { class: "gc-bar" }, ...nodes), update };
}

/** Sets one mass as long as one bar is in hand from the masses it was taken up with, so that it can go back. */
function hand(model) {
  let held = null;
  return (side, bin, value) => {
    const now = model.get(side);
    const same = held?.side === side && held.bin === bin && String(held.latest) === String(now);
    if (!same) held = { side, bin, origin: now };
    held.latest = withMass(held.origin, bin, value);
    model.set(side, held.latest);
  };
}

function render({ model, el }) {
  const state = () => ({ p: model.get("p"), q: model.get("q") });
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  const spoken = announcer();
  const setMass = hand(model);
  let frame = null;
  let glide = null; // the masses to come from, and since when
  let shown = state();

  const masses = new MassPanel(
    (side) => model.get(side),
    (side, bin, value) => {
      glide = null;
      setMass(side, bin, value);
      tell();
    },
  );
  const dual = new PotentialPanel();
  const { box: numbers, update: updateNumbers } = readouts();
  const { bar, update: updateControls } = controls(state, ({ p, q }) => {
    glide = matchMedia("(prefers-reduced-motion: reduce)").matches ? null : { from: shown, since: performance.now() };
    model.set("p", p);
    model.set("q", q);
    tell();
  });

  const between = ({ from, since }, to) => {
    const t = clamp((performance.now() - since) / GLIDE, 0, 1);
    if (t === 1) glide = null;
    const mix = (a, b) => a.map((mass, i) => mass + t * t * (3 - 2 * t) * (b[i] - mass));
    return { p: mix(from.p, to.p), q: mix(from.q, to.q) };
  };
  const draw = () => {
    frame = null;
    const now = state();
    shown = glide ? between(glide, now) : now;
    masses.draw(shown);
    dual.draw(shown);
    updateNumbers(evaluate(now.p, now.q));
    updateControls(now);
    if (glide) schedule();
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };
  const changed = () => {
    schedule();
    spoken.say(evaluate(model.get("p"), model.get("q")));
  };

  const key = legend(["gc-data", "data p"], ["gc-generator", "generator q"]);
  key.append(make("span", { class: "gc-fine" }, "drag the bars"));
  const histograms = make("div", {}, masses.svg);
  const critic = make("div", { class: "gc-part" }, dual.svg);
  el.classList.add("gc", "gc-moving");
  // JupyterLab would take the arrow keys of a slider for its own shortcuts.
  el.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  el.append(
    bar,
    key,
    histograms,
    legend(["gc-critic", "potential f"], ["gc-data gc-dashed", "mean under p"], ["gc-generator gc-dashed", "under q"]),
    critic,
    numbers,
    spoken.node,
  );
  const panels = [masses, dual];
  const resize = (panel, width) => {
    if (width > 0 && width !== panel.width) panel.resize(width);
  };
  const observer = new ResizeObserver(() => {
    for (const panel of panels) resize(panel, Math.floor(panel.svg.parentElement.clientWidth));
    schedule();
  });
  for (const panel of panels) {
    panel.resize(640);
    observer.observe(panel.svg.parentElement);
  }
  for (const event of ["change:p", "change:q"]) model.on(event, changed);
  draw();
  return () => {
    observer.disconnect();
    spoken.stop();
    for (const event of ["change:p", "change:q"]) model.off(event, changed);
    if (frame !== null) cancelAnimationFrame(frame);
  };
}

export default { render };
