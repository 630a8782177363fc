// A game of two parameters, x = (critic's, generator's), as a flow or as a map: where a start leads,
// and what the eigenvalues at the equilibrium say of it.

export const SYSTEMS = {
  dirac: {
    names: ["φ", "θ"],
    box: [[-2.5, 2.5], [-2.5, 2.5]],
    ticks: [[-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2]],
    nudge: 0.05,
    equilibria: [[0, 0]],
    penalty: 1, // E |d/dx D|^2 on data, over the critic's parameter squared
    regularizers: ["none", "R1", "consensus", "gradient norm", "instance noise"],
  },
  uniform: {
    names: ["w", "a"],
    box: [[-1.2, 1.2], [0, 2.2]],
    ticks: [[-1, -0.5, 0, 0.5, 1], [0, 0.5, 1, 1.5, 2]],
    nudge: 0.02,
    equilibria: [[0, 1], [0, -1]],
    penalty: 4 / 3,
    regularizers: ["none", "R1", "consensus", "gradient norm"],
  },
};
export const LIMITS = { strength: [0, 3], step: [0.05, 5] };
export const TICK = { strength: 0.05, step: 0.05 };
export const LOSSES = ["minimax", "non-saturating", "Wasserstein"];
export const MODES = ["flow", "simultaneous", "alternating"];
export const TIME = 40; // of the flow
export const STEPS = 200; // of a map
const SUBSTEPS = 1600; // of the Runge-Kutta method
const ESCAPED = 1e6;
const SAME = 1e-13; // rounding makes the square of the eigenvalues' difference less than this
const BORDER = 1e-7; // closer to the border than this, nothing is claimed

// ---------------------------------------------------------------- the field

/** Gauss-Legendre nodes above 0 for the uniform law on [-1, 1], and twice their shares. */
export function legendre(n) {
  return Array.from({ length: n / 2 }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 0;
    for (let turn = 0; turn < 12; turn += 1) {
      let [p, before] = [x, 1];
      for (let k = 2; k <= n; k += 1) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
      slope = (n * (x * p - before)) / (x * x - 1);
      x -= p / slope;
    }
    return [x, 2 / ((1 - x * x) * slope * slope)];
  });
}

/** Gauss-Hermite nodes for N(0, 1) and their shares, without those whose share is nil. */
export function hermite(n) {
  const roots = [];
  const pairs = [];
  for (let i = 0; i < n / 2; i += 1) {
    // From the largest root inwards; first guesses by asymptotics, then from the roots before.
    const [a, b] = [roots.at(-1), roots.at(-2)];
    const most = 2 * n + 1;
    let x = [Math.sqrt(most) - 1.85575 * most ** (-1 / 6), a - (1.14 * n ** 0.426) / a, 1.86 * a - 0.86 * b, 1.91 * a - 0.91 * b][i] ?? 2 * a - b;
    let slope = 0;
    for (let turn = 0; turn < 20; turn += 1) {
      let [p, before] = [Math.PI ** -0.25, 0];
      for (let k = 1; k <= n; k += 1) [p, before] = [x * Math.sqrt(2 / k) * p - Math.sqrt((k - 1) / k) * before, p];
      slope = Math.sqrt(2 * n) * before;
      x -= p / slope;
    }
    roots.push(x);
    const share = 2 / (slope * slope * Math.sqrt(Math.PI));
    if (share > 1e-20) pairs.push([Math.SQRT2 * x, share], [-Math.SQRT2 * x, share]);
  }
  return pairs;
}

let legendreNodes = null;
let hermiteNodes = null;

/**
 * The field without penalties at a point (c, g), and if `deep` its first and second derivatives.
 *
 * The critic's output on a point is c times a feature: r of the data, s(g) of what is generated. It
 * ascends E f(c r) + E f(-c s), whose slope is f'(-t) = A(t); the generator descends a loss with slope -K(t).
 */
function plain({ system, loss, regularizer, strength }) {
  const uniform = system === "uniform";
  const sigma = regularizer === "instance noise" ? strength : 0;
  const nodes = uniform ? (legendreNodes ??= legendre(64)) : sigma > 0 ? (hermiteNodes ??= hermite(64)) : [[0, 1]];
  const linear = loss === "Wasserstein";
  const mirrored = loss === "non-saturating";
  return (c, g, deep = true) => {
    let [v0, v0c, v0g, v0cc, v0cg, v0gg] = [0, 0, 0, 0, 0, 0];
    let [v1, v1c, v1g, v1cc, v1cg, v1gg] = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < nodes.length; i += 1) {
      const p = nodes[i][1];
      const z = nodes[i][0];
      const r = uniform ? z * z : sigma * z;
      const s = uniform ? g * g * r : g + sigma * z;
      const s1 = uniform ? 2 * g * r : 1;
      const s2 = uniform ? 2 * r : 0;
      const t = c * s;
      const A = linear ? 1 : 1 / (1 + Math.exp(-t));
      const R = linear ? 1 : 1 / (1 + Math.exp(c * r));
      const K = mirrored ? 1 - A : A;
      v0 += p * (R * r - A * s);
      v1 += p * c * K * s1;
      if (!deep) continue;
      const A1 = linear ? 0 : A * (1 - A);
      const A2 = A1 * (1 - 2 * A);
      const R1 = linear ? 0 : R * (1 - R);
      const R2 = R1 * (1 - 2 * R);
      const [K1, K2] = mirrored ? [-A1, -A2] : [A1, A2];
      const [a, a1, k, k1] = [A + t * A1, 2 * A1 + t * A2, K + t * K1, 2 * K1 + t * K2];
      v0c -= p * (R1 * r * r + A1 * s * s);
      v0g -= p * a * s1;
      v0cc += p * (R2 * r * r * r - A2 * s * s * s);
      v0cg -= p * a1 * s * s1;
      v0gg -= p * (a1 * c * s1 * s1 + a * s2);
      v1c += p * k * s1;
      v1g += p * c * (K1 * c * s1 * s1 + K * s2);
      v1cc += p * k1 * s * s1;
      v1cg += p * (k1 * c * s1 * s1 + k * s2);
      v1gg += p * c * (K2 * c * c * s1 * s1 * s1 + 3 * K1 * c * s1 * s2);
    }
    return {
      v: [v0, v1],
      J: [[v0c, v0g], [v1c, v1g]],
      H: [[[v0cc, v0cg], [v0cg, v0gg]], [[v1cc, v1cg], [v1cg, v1gg]]],
    };
  };
}

/** The field of a game with its regularizer, and if `deep` its Jacobian: `(c, g, deep) -> {v, J}`. */
export function field(settings) {
  const { system, regularizer, strength } = settings;
  const bare = plain(settings);
  if (regularizer === "R1")
    return (c, g, deep) => {
      const { v, J } = bare(c, g, deep);
      const pull = strength * SYSTEMS[system].penalty;
      return { v: [v[0] - pull * c, v[1]], J: [[J[0][0] - pull, J[0][1]], J[1]] };
    };
  if (regularizer === "gradient norm") // the generator also descends strength * v0^2
    return (c, g) => {
      const { v, J, H } = bare(c, g);
      const more = (j) => 2 * strength * (J[0][j] * J[0][1] + v[0] * H[0][1][j]);
      return {
        v: [v[0], v[1] - 2 * strength * v[0] * J[0][1]],
        J: [J[0], [J[1][0] - more(0), J[1][1] - more(1)]],
      };
    };
  if (regularizer === "consensus") // both also descend strength / 2 * |v|^2
    return (c, g) => {
      const { v, J, H } = bare(c, g);
      const descent = (i) => v[0] * J[0][i] + v[1] * J[1][i];
      const more = (i, j) => J[0][i] * J[0][j] + J[1][i] * J[1][j] + v[0] * H[0][i][j] + v[1] * H[1][i][j];
      return {
        v: v.map((value, i) => value - strength * descent(i)),
        J: J.map((row, i) => row.map((value, j) => value - strength * more(i, j))),
      };
    };
  return bare;
}

/** One step of a map, and its Jacobian; alternating, the generator sees the critic's new parameter. */
export function mapped({ mode, step: h }, at) {
  const jacobian = (c, g) => {
    const { v, J } = at(c, g);
    if (mode === "simultaneous") return J.map((row, i) => row.map((value, j) => Number(i === j) + h * value));
    const first = [1 + h * J[0][0], h * J[0][1]];
    const [kc, kg] = at(c + h * v[0], g).J[1];
    return [first, [h * kc * first[0], 1 + h * (kc * first[1] + kg)]];
  };
  const next = ([c, g]) => {
    const now = at(c, g, false).v;
    const later = mode === "alternating" ? at(c + h * now[0], g, false).v : now;
    return [c + h * now[0], g + h * later[1]];
  };
  return { jacobian, next };
}

/**
 * Eigenvalues of a 2 x 2 matrix as [real, imaginary], the largest real part first, then the largest
 * imaginary. Where they meet but for rounding, they are equal and real.
 */
export function eigenvalues([[a, b], [c, d]]) {
  const half = (a + d) / 2;
  const square = ((a - d) / 2) ** 2 + b * c;
  const root = Math.abs(square) > SAME * (a * a + b * b + c * c + d * d) ? Math.sqrt(Math.abs(square)) : 0;
  return square >= 0 || root === 0 ? [[half + root, 0], [half - root, 0]] : [[half, root], [half, -root]];
}

const modulus = ([re, im]) => Math.hypot(re, im);

/** Eigenvalues at the equilibrium, of the flow or the map in force, and the verdict. */
export function spectrum(settings) {
  const at = field(settings);
  const [c, g] = SYSTEMS[settings.system].equilibria[0];
  const flow = settings.mode === "flow";
  const values = eigenvalues(flow ? at(c, g).J : mapped(settings, at).jacobian(c, g));
  const excess = flow ? values[0][0] : Math.max(...values.map(modulus)) - 1;
  const stability = Math.abs(excess) <= BORDER ? "undecided" : excess < 0 ? "stable" : "unstable";
  return { values, stability };
}

/** The flow from the start to TIME, or STEPS steps of the map; shorter where it escapes. */
export function trajectory(settings) {
  const at = field(settings);
  const h = TIME / SUBSTEPS;
  const rungeKutta = ([c, g]) => {
    const [a0, a1] = at(c, g, false).v;
    const [b0, b1] = at(c + (h / 2) * a0, g + (h / 2) * a1, false).v;
    const [c0, c1] = at(c + (h / 2) * b0, g + (h / 2) * b1, false).v;
    const [d0, d1] = at(c + h * c0, g + h * c1, false).v;
    return [c + (h / 6) * (a0 + 2 * b0 + 2 * c0 + d0), g + (h / 6) * (a1 + 2 * b1 + 2 * c1 + d1)];
  };
  const flow = settings.mode === "flow";
  const next = flow ? rungeKutta : mapped(settings, at).next;
  const points = [settings.start];
  while (points.length <= (flow ? SUBSTEPS : STEPS)) {
    const point = next(points.at(-1));
    if (!(modulus(point) < ESCAPED)) break;
    points.push(point);
  }
  return points;
}

/** How far a point is from the nearest equilibrium. */
export function distance(system, point) {
  return Math.min(...SYSTEMS[system].equilibria.map((there) => modulus([point[0] - there[0], point[1] - there[1]])));
}

// ---------------------------------------------------------------- the tasks

const VERDICTS = { stable: "stable", unstable: "unstable", undecided: "on the border" };
const minus = (text) => text.replace("-", "−");
const rounded = (value, digits) => minus((Math.abs(value) < 1e-9 ? 0 : value).toFixed(digits));
const told = ({ values, stability }) => {
  const words = values.map(([re, im]) => `${rounded(re, 2)} ${im < 0 ? "−" : "+"} ${rounded(Math.abs(im), 2)} i`);
  return `Eigenvalues ${words.join(" and ")}: ${VERDICTS[stability]}.`;
};
const complex = ({ values }) => values[0][1] > BORDER;
const pair = ([[re, im]]) => `${rounded(re, 2)} ± ${rounded(im, 2)} i`;

export const TASKS = {
  "critical strength": {
    text: "Find the smallest strength of R1 at which the eigenvalues of the flow are no longer complex.",
    /** [whether it is solved, what to say] */
    mark(settings) {
      if (settings.regularizer !== "R1") return [false, "This task is about R1: choose it as the regularizer."];
      if (settings.mode !== "flow") return [false, "This task is about the flow: choose it as the dynamics."];
      const now = spectrum(settings);
      if (complex(now)) return [false, `Not yet: the eigenvalues ${pair(now.values)} are still complex.`];
      const below = spectrum({ ...settings, strength: settings.strength - TICK.strength });
      if (!complex(below)) return [false, "Both eigenvalues are real here, but a smaller strength does it, too."];
      return [true, `From γ = ${rounded(settings.strength, 2)} on, both eigenvalues are real.`];
    },
  },
  "unstable step": {
    text: "With a regularizer, find a step size at which simultaneous steps are unstable although the flow is stable.",
    mark(settings) {
      const flow = spectrum({ ...settings, mode: "flow" });
      if (settings.regularizer === "none" || settings.strength === 0)
        return [false, `There is no regularizer yet: choose one, and a strength above 0.`];
      if (flow.stability !== "stable") return [false, "The flow itself is not stable here: no step is to blame."];
      if (settings.mode !== "simultaneous") return [false, "The flow is stable. Now choose simultaneous steps."];
      const map = spectrum(settings);
      const size = rounded(Math.max(...map.values.map(modulus)), 3);
      if (map.stability === "stable") return [false, `The largest |λ| is ${size}: with this step the map is stable, too.`];
      if (map.stability === "undecided") return [false, "This step is just on the border: |λ| is 1."];
      return [true, `The flow is stable, but with h = ${rounded(settings.step, 2)} the largest |λ| is ${size}, above 1.`];
    },
  },
};

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 400; // milliseconds without a change before something is said
const SIGNS = { none: "", R1: "γ", consensus: "γ", "gradient norm": "η", "instance noise": "σ" };
const STATE = ["system", "loss", "regularizer", "strength", "mode", "step", "start"];

let instances = 0;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect", "clipPath", "defs"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));
const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** A square SVG with a frame, a clipped layer, and the same kind of scales in both directions. */
class Panel {
  constructor(margin, attributes) {
    const id = `gc-plane-${(instances += 1)}`;
    this.margin = margin;
    this.clip = make("rect");
    this.back = make("g", { "clip-path": `url(#${id})`, "aria-hidden": "true" });
    this.axes = make("g", { "aria-hidden": "true" });
    this.front = make("g", { "clip-path": `url(#${id})`, "aria-hidden": "true" });
    const defs = make("defs", {}, make("clipPath", { id }, this.clip));
    this.svg = make("svg", { class: "gc-plot", ...attributes }, defs, this.back, this.axes, this.front);
  }

  resize(width) {
    const { top, right, bottom, left } = this.margin;
    const side = width - left - right;
    this.width = width;
    this.frame = { x: left, y: top, width: side, height: side };
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", side + top + bottom);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${side + top + bottom}`);
    for (const [key, value] of Object.entries(this.frame)) this.clip.setAttribute(key, value);
  }

  scale([[x0, x1], [y0, y1]]) {
    const { x, y, width, height } = this.frame;
    this.unit = [width / (x1 - x0), height / (y1 - y0)];
    const near = (pixel) => clamp(pixel, [-1e4, 1e4]);
    this.at = ([u, v]) => [near(x + (u - x0) * this.unit[0]), near(y + (y1 - v) * this.unit[1])];
    this.under = ([px, py]) => [x0 + (px - x) / this.unit[0], y1 - (py - y) / this.unit[1]];
  }

  ruler([xs, ys], [nameX, nameY]) {
    const { x, y, width, height } = this.frame;
    const text = (px, py, words, anchor, cls = "") => make("text", { x: px, y: py, "text-anchor": anchor, class: cls }, words);
    this.axes.replaceChildren(make("rect", { ...this.frame, class: "gc-frame" }));
    for (const tick of xs) {
      const [px] = this.at([tick, 0]);
      this.axes.append(make("line", { x1: px, x2: px, y1: y, y2: y + height, class: "gc-grid" }));
      this.axes.append(text(px, y + height + 15, minus(String(tick)), "middle"));
    }
    for (const tick of ys) {
      const [, py] = this.at([0, tick]);
      this.axes.append(make("line", { x1: x, x2: x + width, y1: py, y2: py, class: "gc-grid" }));
      this.axes.append(text(x - 6, py + 4, minus(String(tick)), "end"));
    }
    this.axes.append(text(x + width / 2, y + height + 32, nameX, "middle"), text(2, y - 8, nameY, "start"));
  }
}

class PhasePlane extends Panel {
  constructor({ system, home, state, onStart }) {
    super({ top: 24, right: 8, bottom: 38, left: 34 }, { role: "group" });
    this.system = SYSTEMS[system];
    this.arrows = make("path", { class: "gc-arrows" });
    this.back.append(this.arrows);
    this.ground = make("rect", { class: "gc-ground" });
    this.handle = make(
      "g",
      { class: "gc-handle", tabindex: 0, role: "slider", "aria-roledescription": "point", "aria-label": "Start" },
      make("circle", { r: 18, class: "gc-reach" }),
      make("circle", { r: 7.5 }),
    );
    this.svg.append(this.ground, this.handle);
    const move = (point) => onStart(point.map((value, i) => clamp(Number(value.toFixed(3)), this.system.box[i])));
    this.follow(state, move);
    this.handle.addEventListener("keydown", (event) => {
      const far = this.system.nudge * (event.shiftKey ? 10 : 1);
      const by = { ArrowRight: [far, 0], ArrowLeft: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far], Home: null }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      move(by ? state().start.map((value, i) => value + by[i]) : home);
    });
  }

  /** A mouse takes the start from anywhere; a finger drags the handle, and taps elsewhere, where it may also scroll. */
  follow(state, move) {
    let grip = null;
    const point = (event) => {
      const { left, top } = this.svg.getBoundingClientRect();
      return this.under([event.clientX - left, event.clientY - top]);
    };
    const take = (node, event, offset) => {
      if (event.button !== 0 || grip) return;
      grip = { id: event.pointerId, offset };
      node.setPointerCapture(event.pointerId);
      this.handle.classList.add("gc-dragging");
    };
    this.ground.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      event.preventDefault();
      this.handle.focus({ preventScroll: true });
      take(this.ground, event, [0, 0]);
      move(point(event));
    });
    this.ground.addEventListener("click", (event) => event.pointerType !== "mouse" && move(point(event)));
    this.handle.addEventListener("pointerdown", (event) => take(this.handle, event, point(event).map((value, i) => value - state().start[i])));
    this.handle.addEventListener("touchmove", (event) => event.cancelable && event.preventDefault(), { passive: false });
    for (const node of [this.ground, this.handle]) {
      node.addEventListener("pointermove", (event) => {
        if (event.pointerId === grip?.id) move(point(event).map((value, i) => value - grip.offset[i]));
      });
      for (const end of ["pointerup", "pointercancel"])
        node.addEventListener(end, (event) => {
          if (event.pointerId !== grip?.id) return;
          grip = null;
          this.handle.classList.remove("gc-dragging");
        });
    }
  }

  resize(width) {
    super.resize(width);
    this.scale(this.system.box);
    const [c, g] = this.system.names;
    this.ruler(this.system.ticks, [`critic ${c}`, `generator ${g}`]);
    for (const [key, value] of Object.entries(this.frame)) this.ground.setAttribute(key, value);
    this.drawn = null;
  }

  /** Arrows along the field, whose lengths grow with its size but stay apart. */
  drawField(settings) {
    const key = JSON.stringify({ ...settings, start: 0, mode: 0, step: 0 });
    if (this.drawn === key) return;
    this.drawn = key;
    const at = field(settings);
    const count = this.width < 340 ? 11 : 13;
    const apart = this.frame.width / count;
    const places = Array.from({ length: count * count }, (_, i) => {
      const pixel = [(i % count) + 0.5, Math.floor(i / count) + 0.5].map((n, side) => n * apart + [this.frame.x, this.frame.y][side]);
      const { v } = at(...this.under(pixel), false);
      return { pixel, to: [v[0] * this.unit[0], -v[1] * this.unit[1]] };
    });
    const typical = places.map(({ to }) => modulus(to)).sort((a, b) => a - b)[Math.floor(places.length / 2)];
    const arrow = ({ pixel: [x, y], to }) => {
      const size = modulus(to);
      if (!(size > 1e-9)) return "";
      const length = (0.85 * apart * size) / (size + 0.6 * typical);
      const [dx, dy] = [to[0] / size, to[1] / size];
      const [tipX, tipY] = [x + (dx * length) / 2, y + (dy * length) / 2];
      const head = Math.min(4.5, 0.45 * length);
      const barb = (side) => [tipX - head * (dx - side * 0.6 * dy), tipY - head * (dy + side * 0.6 * dx)];
      return line([[x - (dx * length) / 2, y - (dy * length) / 2], [tipX, tipY]]) + line([barb(1), [tipX, tipY], barb(-1)]);
    };
    this.arrows.setAttribute("d", places.map(arrow).join(""));
  }

  draw(settings, points) {
    this.drawField(settings);
    const flow = settings.mode === "flow";
    const pixels = points.map(this.at);
    const path = make("path", { d: line(flow ? pixels.filter((_, i) => i % 4 === 0) : pixels), class: `gc-curve gc-path${flow ? "" : " gc-thin"}` });
    const dot = ([cx, cy], i) => make("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: Math.max(1.6, 3.2 - 0.02 * i), class: "gc-iterate" });
    const [ex, ey] = pixels.at(-1);
    const end = make("circle", { cx: ex, cy: ey, r: 5, class: "gc-end", "data-end": "", "data-x": points.at(-1)[0], "data-y": points.at(-1)[1] });
    const still = this.system.equilibria.map(this.at).map(([x, y]) => make("path", { d: `M${x - 5} ${y - 5}l10 10m0-10l-10 10`, class: "gc-still-point" }));
    this.front.replaceChildren(path, ...(flow ? [] : pixels.map(dot)), end, ...still);
    const [c, g] = this.system.names;
    const { start } = settings;
    const where = `${c} = ${rounded(start[0], 2)}, ${g} = ${rounded(start[1], 2)}`;
    const [x, y] = this.at(start);
    const place = {
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
      "aria-valuenow": start[0],
      "aria-valuemin": this.system.box[0][0],
      "aria-valuemax": this.system.box[0][1],
      "aria-valuetext": where,
      "data-x": start[0],
      "data-y": start[1],
    };
    for (const [key, value] of Object.entries(place)) this.handle.setAttribute(key, value);
    this.svg.setAttribute("aria-label", `Phase plane with the field, and what becomes of the start at ${where}. The arrow keys move the start.`);
  }
}

class EigenPlane extends Panel {
  constructor() {
    super({ top: 24, right: 8, bottom: 38, left: 34 }, { role: "img" });
  }

  draw(settings, { values, stability }) {
    const flow = settings.mode === "flow";
    const most = Math.max(flow ? 0 : 1, ...values.flat().map(Math.abs));
    const reach = [1.25, 2.5, 5, 12.5, 25, 50].find((size) => size >= 1.08 * most) ?? 10 ** Math.ceil(Math.log10(1.08 * most));
    this.scale([[-reach, reach], [-reach, reach]]);
    const spacing = 2 * reach / 5;
    const ticks = [-2, -1, 0, 1, 2].map((n) => Number((n * spacing).toPrecision(3)));
    this.ruler([ticks, ticks], ["real part", "imaginary part"]);
    const { x, y, width, height } = this.frame;
    const [cx, cy] = this.at([0, 0]);
    const inside = flow
      ? [make("rect", { x, y, width: cx - x, height, class: "gc-inside" }), make("line", { x1: cx, x2: cx, y1: y, y2: y + height, class: "gc-border" })]
      : [make("circle", { cx, cy, r: this.unit[0], class: "gc-inside gc-border" })];
    this.back.replaceChildren(...inside);
    const side = (value) => {
      const excess = flow ? value[0] : modulus(value) - 1;
      return Math.abs(excess) <= BORDER ? "gc-undecided" : excess < 0 ? "gc-stable" : "gc-unstable";
    };
    this.front.replaceChildren(
      ...values.map((value) => {
        const [px, py] = this.at(value);
        return make("circle", { cx: px, cy: py, r: 6, class: `gc-dot ${side(value)}`, "data-x": value[0], "data-y": value[1] });
      }),
    );
    this.svg.setAttribute("aria-label", `Complex plane with ${flow ? "the stable half-plane" : "the unit disk"}. ${told({ values, stability })}`);
  }
}

// ---------------------------------------------------------------- numbers and controls

function readouts() {
  const cell = (key) => make("span", { "data-readout": key });
  const cells = Object.fromEntries(["re1", "im1", "re2", "im2", "stability", "distance"].map((key) => [key, cell(key)]));
  const notes = { values: make("p", { class: "gc-fine" }), stability: make("p", { class: "gc-fine" }), distance: make("p", { class: "gc-fine" }) };
  const swatch = make("span", { class: "gc-mark", "aria-hidden": "true" });
  const box = make(
    "div",
    { class: "gc-verdict" },
    make("div", { class: "gc-wide" }, make("p", {}, "Eigenvalues"), make("p", { class: "gc-number" }, cells.re1, cells.im1, make("br"), cells.re2, cells.im2), notes.values),
    make("div", {}, make("p", {}, "Equilibrium"), make("p", { class: "gc-number" }, swatch, cells.stability), notes.stability),
    make("div", {}, make("p", {}, "Distance"), make("p", { class: "gc-number" }, cells.distance), notes.distance),
  );
  const update = (settings, { values, stability }, points) => {
    const flow = settings.mode === "flow";
    const far = points.length <= (flow ? SUBSTEPS : STEPS) ? Infinity : distance(settings.system, points.at(-1));
    const put = (key, value, text) => {
      cells[key].textContent = text;
      cells[key].dataset.value = value;
    };
    values.forEach(([re, im], i) => {
      put(`re${i + 1}`, re, rounded(re, 4));
      put(`im${i + 1}`, im, im === 0 ? "" : ` ${im < 0 ? "−" : "+"} ${Math.abs(im).toFixed(4)} i`);
    });
    put("stability", stability, VERDICTS[stability]);
    put("distance", far, far < 1e4 ? far.toFixed(4) : far < Infinity ? far.toExponential(1) : "∞");
    swatch.className = `gc-mark gc-${stability}`;
    const size = rounded(Math.max(...values.map(modulus)), 4);
    notes.values.textContent = flow ? "" : `largest modulus ${size}`;
    notes.stability.textContent = flow ? "of the flow" : `its flow is ${VERDICTS[spectrum({ ...settings, mode: "flow" }).stability]}`;
    notes.distance.textContent = flow ? `at time ${TIME}` : `after ${points.length - 1} steps`;
  };
  return { box, update };
}

/** A column each for the loss, the regularizer and the dynamics, with what belongs to it below. */
function controls(state, onChange, onReset) {
  const select = (trait, name, options) => {
    const input = make("select", { "data-trait": trait, class: "gc-select" }, ...options.map((value) => make("option", { value }, value)));
    input.addEventListener("change", () => onChange(trait, input.value));
    return { input, node: make("label", {}, name, input) };
  };
  const range = (trait, name) => {
    const [min, max] = LIMITS[trait];
    const input = make("input", { type: "range", min, max, step: TICK[trait], "data-trait": trait });
    const [value, sign] = [make("span", { class: "gc-value" }), make("i")];
    input.addEventListener("input", () => onChange(trait, Number(input.value)));
    const node = make("label", {}, make("span", {}, `${name} `, sign), input, value);
    // In place of a slider that would do nothing, what only looks like one.
    const off = make("div", { class: "gc-off", "aria-hidden": "true" }, make("span", {}, name), make("span", { class: "gc-track" }));
    return { input, value, sign, node, off, slot: make("div", { class: "gc-slot" }, off) };
  };
  const selects = {
    loss: select("loss", "Loss", LOSSES),
    regularizer: select("regularizer", "Regularizer", SYSTEMS[state().system].regularizers),
    mode: select("mode", "Dynamics", MODES),
  };
  const ranges = { strength: range("strength", "Strength"), step: range("step", "Step") };
  const reset = make("button", { type: "button", class: "gc-button" }, "Reset");
  reset.addEventListener("click", onReset);
  const box = make("div", { class: "gc-settings" });
  box.append(selects.loss.node, make("div", { class: "gc-slot" }, reset));
  box.append(selects.regularizer.node, ranges.strength.slot, selects.mode.node, ranges.step.slot);
  const update = (settings) => {
    for (const [trait, { input }] of Object.entries(selects)) input.value = settings[trait];
    const used = { strength: settings.regularizer !== "none", step: settings.mode !== "flow" };
    const signs = { strength: SIGNS[settings.regularizer], step: "h" };
    for (const [trait, { slot, node, off, input, value, sign }] of Object.entries(ranges)) {
      const wanted = used[trait] ? node : off;
      if (slot.firstChild !== wanted) slot.replaceChildren(wanted);
      input.value = settings[trait];
      value.textContent = settings[trait].toFixed(2);
      sign.textContent = signs[trait];
    }
  };
  return { box, update };
}

/** What the task is, and what is to be said of a state; without a task the state is told to those who listen. */
function marker(task) {
  const status = make("p", { role: "status", class: task ? "gc-answer" : "gc-spoken" });
  const box = task ? make("div", { class: "gc-task" }, make("p", {}, make("b", {}, "Task. "), TASKS[task].text), status) : status;
  let timer = null;
  const say = (settings, touched) => {
    clearTimeout(timer);
    if (!touched) return;
    timer = setTimeout(() => {
      const [solved, words] = task ? TASKS[task].mark(settings) : [false, told(spectrum(settings))];
      status.textContent = solved ? `✓ Solved. ${words}` : words;
      box.dataset.solved = solved;
    }, QUIET);
  };
  return { box, say, stop: () => clearTimeout(timer) };
}

function render({ model, el }) {
  const state = () => Object.fromEntries(STATE.map((key) => [key, model.get(key)]));
  const first = state();
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  let frame = null;

  const change = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.set("touched", true);
    tell();
  };
  const phase = new PhasePlane({ system: first.system, home: first.start, state, onStart: (start) => change({ start }) });
  const eigen = new EigenPlane();
  const { box: numbers, update: updateNumbers } = readouts();
  const { box: settingsBox, update: updateControls } = controls(state, (trait, value) => change({ [trait]: value }), () => change(first));
  const { box: task, say, stop } = marker(model.get("task"));

  const draw = () => {
    frame = null;
    const settings = state();
    const points = trajectory(settings);
    const found = spectrum(settings);
    phase.draw(settings, points);
    eigen.draw(settings, found);
    updateNumbers(settings, found, points);
    updateControls(settings);
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };
  const changed = () => {
    schedule();
    say(state(), model.get("touched"));
  };

  const legend = [["gc-start", "start"], ["gc-end", "end"], ["gc-cross", "equilibrium"]];
  const key = make("p", { class: "gc-key" }, ...legend.map(([cls, text]) => make("span", {}, make("span", { class: `gc-sign ${cls}`, "aria-hidden": "true" }), text)), make("span", { class: "gc-fine" }, "drag the start"));
  const part = (cls, ...children) => make("div", { class: `gc-part ${cls}` }, ...children);
  const holders = [make("div", {}, phase.svg), make("div", {}, eigen.svg)];
  el.classList.add("gc", "gc-portrait");
  // JupyterLab would take the arrow keys of a slider for its own shortcuts.
  el.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  el.append(
    ...(model.get("task") ? [task] : []),
    settingsBox,
    make("div", { class: "gc-planes" }, part("gc-phase", holders[0], key), part("gc-eigen", holders[1]), numbers),
    ...(model.get("task") ? [] : [task]),
  );

  const panels = [phase, eigen];
  const observer = new ResizeObserver(() => {
    panels.forEach((panel, i) => {
      const width = Math.floor(holders[i].clientWidth);
      if (width > 0 && width !== panel.width) panel.resize(width);
    });
    schedule();
  });
  panels.forEach((panel, i) => {
    panel.resize([410, 300][i]);
    observer.observe(holders[i]);
  });
  const events = [...STATE, "touched"].map((name) => `change:${name}`);
  for (const event of events) model.on(event, changed);
  draw();
  return () => {
    observer.disconnect();
    stop();
    for (const event of events) model.off(event, changed);
    if (frame !== null) cancelAnimationFrame(frame);
  };
}

export default { render };
