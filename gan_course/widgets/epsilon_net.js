// The unit disk to cover with disks of one radius: the reader places their centers, a net once no
// place of the disk is farther than the radius from all of them.

export const RADIUS = [0.2, 1];
export const TICK = 0.01;
export const MOST = 200; // points

const SAME = 1e-9; // lengths closer than this are one: rounding makes them differ by less
const TURN = 2 * Math.PI;
const { hypot, sin, cos, atan2 } = Math;

// ---------------------------------------------------------------- mathematics

/** The distance from a place to the nearest point. */
export const distance = (points, [x, y]) => points.reduce((least, [u, v]) => Math.min(least, hypot(x - u, y - v)), Infinity);

/**
 * Where the distance to the nearest point can be largest in the disk. There three points are
 * nearest, or two on the disk's edge, or it is the place on the edge that is opposite to one. So it is
 * an end of the stretch on which two points are the nearest, on the line as far from the one as from the other.
 */
function candidates(points) {
  const opposite = ([x, y]) => (hypot(x, y) > 0 ? [-x / hypot(x, y), -y / hypot(x, y)] : [1, 0]);
  const found = points.map(opposite);
  points.forEach(([px, py], i) => {
    for (const [qx, qy] of points.slice(i + 1)) {
      const length = hypot(qx - px, qy - py);
      if (length <= SAME) continue;
      const [mx, my] = [px + (qx - px) / 2, py + (qy - py) / 2];
      const [ux, uy] = [-(qy - py) / length, (qx - px) / length];
      const height = mx * ux + my * uy;
      const half = Math.sqrt(Math.max(height * height + 1 - mx * mx - my * my, 0));
      let [low, high] = [-half - height, half - height];
      for (const [kx, ky] of points) {
        // Only as far as k is no nearer than p.
        const slope = ux * (kx - px) + uy * (ky - py);
        const slack = (kx * kx + ky * ky - px * px - py * py) / 2 - mx * (kx - px) - my * (ky - py);
        if (slope > 1e-12) high = Math.min(high, slack / slope);
        else if (slope < -1e-12) low = Math.max(low, slack / slope);
      }
      if (low <= high + SAME) for (const end of [low, high]) found.push([mx + end * ux, my + end * uy]);
    }
  });
  return found;
}

/** The place of the disk farthest from the points, the first of equals, and its distance; the center without points. */
export function farthest(points) {
  if (!points.length) return { place: [0, 0], distance: Infinity };
  const places = candidates(points);
  const far = places.map((place) => distance(points, place));
  const most = far.reduce((a, b) => Math.max(a, b));
  const index = far.findIndex((value) => value > most - SAME);
  return { place: places[index], distance: far[index] };
}

/** The points and, one by one, the farthest place from them, until they are a net. */
export function greedy(radius, points) {
  const net = [...points];
  for (let next = farthest(net); next.distance > radius + SAME && net.length < MOST; next = farthest(net)) net.push(next.place);
  return net;
}

/** Arcs given by middle and half width, as disjoint intervals of [0, 2 pi] in order. */
function merged(arcs) {
  if (arcs.some(([, half]) => half >= Math.PI)) return [[0, TURN]];
  const cut = arcs.flatMap(([middle, half]) => {
    const start = (((middle - half) % TURN) + TURN) % TURN;
    const end = start + 2 * half;
    return end <= TURN ? [[start, end]] : [[start, TURN], [0, end - TURN]];
  });
  const out = [];
  for (const [start, end] of cut.sort(([a], [b]) => a - b)) {
    if (out.length && start <= out.at(-1)[1]) out.at(-1)[1] = Math.max(out.at(-1)[1], end);
    else out.push([start, end]);
  }
  return out;
}

const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));
const halfWidth = (cosine) => Math.acos(clamp(cosine, [-1, 1]));

/** The arc of the unit circle within the radius of a point of the disk. */
function coveredEdge([x, y], radius) {
  const size = hypot(x, y);
  return size === 0 ? [0, radius >= 1 ? Math.PI : 0] : [atan2(y, x), halfWidth((1 + size * size - radius * radius) / (2 * size))];
}

/** The arc of the circle around a point of the disk that is not in the disk. */
function outside([x, y], radius) {
  const size = hypot(x, y);
  return size === 0 ? [0, radius >= 1 ? Math.PI : 0] : [atan2(y, x), halfWidth((1 - size * size - radius * radius) / (2 * radius * size))];
}

/** The part of the disk's area that the disks around the points cover, by Green's theorem. */
export function share(radius, points) {
  const centers = [];
  for (const point of points) if (distance(centers, point) > SAME) centers.push(point);
  let area = merged(centers.map((center) => coveredEdge(center, radius))).reduce((total, [a, b]) => total + (b - a) / 2, 0);
  for (const [x, y] of centers) {
    const hidden = [outside([x, y], radius)];
    for (const [u, v] of centers) {
      const apart = hypot(u - x, v - y);
      if (apart > 0 && apart < 2 * radius) hidden.push([atan2(v - y, u - x), halfWidth(apart / (2 * radius))]);
    }
    const edges = [0, ...merged(hidden).flat(), TURN];
    for (let i = 0; i < edges.length; i += 2) {
      const [a, b] = [edges[i], edges[i + 1]];
      area += (radius * (radius * (b - a) + x * (sin(b) - sin(a)) - y * (cos(b) - cos(a)))) / 2;
    }
  }
  return area / Math.PI;
}

/** How well disks of this radius around the points cover the unit disk; see the package's `coverings.evaluate`. */
export function evaluate(radius, points) {
  const far = farthest(points);
  const net = far.distance <= radius + SAME;
  return {
    count: points.length,
    share: net ? 1 : Math.min(share(radius, points), 1),
    farthest: far.distance,
    place: far.place,
    net,
    separated: points.every((point, i) => distance(points.slice(i + 1), point) > radius),
    lower: radius ** -2,
    upper: (1 + 2 / radius) ** 2,
  };
}

// ---------------------------------------------------------------- words

const NUDGE = 0.02;
const QUIET = 700; // milliseconds without a change before the numbers are spoken
const least = ({ lower }) => Math.ceil(lower - SAME);
const most = ({ upper }) => Math.floor(upper + SAME);
const counted = (n) => `${n} point${n === 1 ? "" : "s"}`;
/** Rounded so that what is not covered does not look covered. */
const percent = (part) => `${(Math.floor(1000 * part + SAME) / 10).toFixed(1)} %`;
const length = (value) => (value === Infinity ? "∞" : (Math.ceil(1000 * value - 1e-5) / 1000).toFixed(3));

/** What is to be said of the points. */
export function verdict(radius, found) {
  const within = radius.toFixed(2);
  if (!found.count) return "No point yet: nothing is covered.";
  if (found.net && found.separated) return `A net. All points are farther than ${within} apart; at most ${most(found)} such points fit.`;
  if (found.net) return `A net. Some points are within ${within} of each other, so it may have more points than it needs.`;
  if (found.count < least(found)) return `Not a net, wherever they are: ${found.count} disks of radius ${within} have less area than the unit disk.`;
  return `Not a net: the cross is ${length(found.farthest)} from the nearest point.`;
}

// ---------------------------------------------------------------- drawing

const SVG = "http://www.w3.org/2000/svg";
let instances = 0;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "clipPath", "defs"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
}

/** The nearest place of the disk. */
const inDisc = ([x, y]) => {
  const size = hypot(x, y);
  return size > 1 ? [x / size, y / size] : [x, y];
};

/** The unit disk, a handle for each point, and what the disks around the points cover. */
class Disc {
  /** `hand` is told of what the reader does: `add(point)`, `addFarthest()`, `move(i, point)`, `remove(i)`, `select(i)`. */
  constructor(state, hand) {
    const id = `gc-disc-${(instances += 1)}`;
    this.state = state;
    this.hand = hand;
    this.grip = null;
    this.handles = [];
    this.clip = make("circle");
    this.covered = make("g", { class: "gc-covered", "clip-path": `url(#${id})` });
    this.outlines = make("g", { class: "gc-outlines", "clip-path": `url(#${id})` });
    this.edge = make("circle", { class: "gc-edge" });
    this.axes = make("g");
    this.packing = make("g", { class: "gc-packing" });
    this.cross = make("path", { class: "gc-farthest" });
    this.ground = make("circle", { class: "gc-ground" });
    this.points = make("g");
    const picture = make("g", { "aria-hidden": "true" }, this.covered, this.outlines, this.axes, this.edge, this.packing, this.cross);
    this.svg = make("svg", { class: "gc-plot", role: "group" }, make("defs", {}, make("clipPath", { id }, this.clip)), picture, this.ground, this.points);
    this.follow();
  }

  at([x, y]) {
    return [this.middle + x * this.unit, this.middle - y * this.unit];
  }

  under(event) {
    const { left, top } = this.svg.getBoundingClientRect();
    return [(event.clientX - left - this.middle) / this.unit, (this.middle - (event.clientY - top)) / this.unit];
  }

  /** A mouse adds a point and keeps hold of it; a finger taps, since elsewhere it may scroll. */
  follow() {
    this.ground.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch" || this.grip) return;
      event.preventDefault();
      const index = this.hand.add(inDisc(this.under(event)));
      if (index !== null) this.take(this.ground, event, index, [0, 0]);
    });
    this.ground.addEventListener("click", (event) => event.pointerType !== "mouse" && this.hand.add(inDisc(this.under(event))));
    this.track(this.ground);
  }

  take(node, event, index, offset) {
    this.grip = { id: event.pointerId, index, offset };
    node.setPointerCapture(event.pointerId);
    this.svg.classList.add("gc-dragging");
  }

  letGo() {
    this.grip = null;
    this.svg.classList.remove("gc-dragging");
  }

  track(node) {
    node.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.grip?.id) return;
      this.hand.move(this.grip.index, this.under(event).map((value, i) => value - this.grip.offset[i]));
    });
    for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, (event) => event.pointerId === this.grip?.id && this.letGo());
  }

  handle(index) {
    const node = make(
      "g",
      { class: "gc-handle", role: "slider", "aria-roledescription": "point", "aria-valuemin": -1, "aria-valuemax": 1 },
      make("circle", { class: "gc-reach" }),
      make("circle", { r: 5.5 }),
    );
    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.grip) return;
      const [x, y] = this.state().points[index];
      const [u, v] = this.under(event);
      this.take(node, event, index, [u - x, v - y]);
    });
    node.addEventListener("touchmove", (event) => event.cancelable && event.preventDefault(), { passive: false });
    node.addEventListener("focus", () => this.hand.select(index));
    node.addEventListener("keydown", (event) => this.key(event, index));
    this.track(node);
    return node;
  }

  key(event, index) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const far = NUDGE * (event.shiftKey ? 5 : 1);
    const by = (dx, dy) => () => {
      const [x, y] = this.state().points[index];
      this.hand.move(index, [x + dx, y + dy].map((value) => Number(value.toFixed(9))));
    };
    const go = (step) => () => this.handles[(index + step + this.handles.length) % this.handles.length].focus();
    const act = {
      ArrowRight: by(far, 0),
      ArrowLeft: by(-far, 0),
      ArrowUp: by(0, far),
      ArrowDown: by(0, -far),
      PageDown: go(1),
      PageUp: go(-1),
      Enter: () => this.hand.addFarthest(),
      Delete: () => this.hand.remove(index),
      Backspace: () => this.hand.remove(index),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  /** As many handles as points; the one chosen is the group's stop for the Tab key. */
  syncHandles(points, selected) {
    while (this.handles.length < points.length) this.handles.push(this.handle(this.handles.length));
    if (this.handles.length > points.length) this.letGo();
    for (const node of this.handles.splice(points.length)) node.remove();
    if (this.points.childElementCount < this.handles.length) this.points.append(...this.handles.slice(this.points.childElementCount));
    const reach = clamp(0.45 * this.state().radius * this.unit, [10, 18]);
    points.forEach(([x, y], i) => {
      const [px, py] = this.at([x, y]);
      const text = `x = ${x.toFixed(2)}, y = ${y.toFixed(2)}`.replaceAll("-", "−");
      set(this.handles[i], {
        transform: `translate(${px.toFixed(2)} ${py.toFixed(2)})`,
        tabindex: i === selected ? 0 : -1,
        "aria-label": `Point ${i + 1} of ${points.length}`,
        "aria-valuenow": x,
        "aria-valuetext": text,
        "data-x": x,
        "data-y": y,
        "data-selected": i === selected,
      });
      this.handles[i].firstChild.setAttribute("r", reach);
    });
  }

  draw(width, { radius, points, selected, halves }, found) {
    this.middle = width / 2;
    this.unit = (width / 2 - 4) / (halves ? 1.02 + radius / 2 : 1.04);
    set(this.svg, { width, height: width, viewBox: `0 0 ${width} ${width}` });
    const around = (point, r, attributes = {}) => {
      const [cx, cy] = this.at(point);
      return make("circle", { cx: cx.toFixed(2), cy: cy.toFixed(2), r: (r * this.unit).toFixed(2), ...attributes });
    };
    for (const node of [this.clip, this.edge, this.ground]) set(node, { cx: this.middle, cy: this.middle, r: this.unit });
    this.covered.replaceChildren(...points.map((point) => around(point, radius)));
    this.outlines.replaceChildren(...points.map((point) => around(point, radius)));
    this.packing.replaceChildren(...(halves ? [around([0, 0], 1 + radius / 2), ...points.map((point) => around(point, radius / 2))] : []));
    const ends = [[[-1, 0], [1, 0]], [[0, -1], [0, 1]]].map((pair) => pair.map((end) => this.at(end)));
    this.axes.replaceChildren(...ends.map(([[x1, y1], [x2, y2]]) => make("line", { x1, y1, x2, y2, class: "gc-grid" })));
    const [x, y] = this.at(found.place);
    const shown = found.count > 0 && !found.net;
    set(this.cross, { d: shown ? `M${(x - 6).toFixed(2)} ${(y - 6).toFixed(2)}l12 12m0-12l-12 12` : "", "data-x": found.place[0], "data-y": found.place[1] });
    this.syncHandles(points, selected);
    const keys = found.count ? " The arrow keys move a point, Enter adds one at the farthest place, Delete removes it, Page Down goes to the next." : "";
    this.svg.setAttribute("aria-label", `Unit disk with ${counted(found.count)}.${keys}`);
  }
}

function readouts() {
  const cell = (key) => make("span", { "data-readout": key });
  const cells = Object.fromEntries(["count", "share", "farthest", "lower", "upper"].map((key) => [key, cell(key)]));
  const fine = () => make("p", { class: "gc-fine" });
  const notes = { count: fine(), share: fine(), farthest: fine(), bounds: fine() };
  const part = (name, note, ...nodes) => make("div", {}, make("p", {}, name), make("p", { class: "gc-number" }, ...nodes), note);
  notes.share.textContent = "of the area";
  notes.bounds.textContent = "bounds of the lemma: (1/δ)² to (1 + 2/δ)²";
  const box = make(
    "div",
    { class: "gc-pairs" },
    part("Points", notes.count, cells.count),
    part("A smallest net has", notes.bounds, cells.lower, " to ", cells.upper, " points"),
    part("Covered", notes.share, cells.share),
    part("Distance of the farthest place", notes.farthest, cells.farthest),
  );
  const words = make("p", { class: "gc-said" });
  const update = (radius, found) => {
    const texts = { count: found.count, share: percent(found.share), farthest: length(found.farthest), lower: least(found), upper: most(found) };
    for (const [key, node] of Object.entries(cells)) {
      node.textContent = texts[key];
      node.dataset.value = found[key];
    }
    notes.count.textContent = found.count < 2 ? "" : found.separated ? "all more than δ apart" : "some within δ";
    notes.farthest.textContent = found.net ? `at most δ = ${radius.toFixed(2)}` : `more than δ = ${radius.toFixed(2)}`;
    words.textContent = verdict(radius, found);
    words.dataset.net = found.net;
  };
  return { box, words, update };
}

/** Says the numbers once the hand is still. */
function announcer() {
  const node = make("p", { class: "gc-spoken", role: "status" });
  let timer = null;
  const say = (state) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const { radius, points } = state();
      const found = evaluate(radius, points);
      node.textContent = `${counted(found.count)}, ${percent(found.share)} covered. ${verdict(radius, found)}`;
    }, QUIET);
  };
  return { node, say, stop: () => clearTimeout(timer) };
}

function button(text, onClick) {
  const node = make("button", { type: "button", class: "gc-button" }, text);
  node.addEventListener("click", () => node.getAttribute("aria-disabled") !== "true" && onClick());
  return node;
}

function radiusSlider(onChange) {
  const input = make("input", { type: "range", min: RADIUS[0], max: RADIUS[1], step: TICK, "data-trait": "radius" });
  const value = make("span", { class: "gc-value" });
  input.addEventListener("input", () => onChange(Number(input.value)));
  const update = (radius) => {
    input.value = radius;
    value.textContent = radius.toFixed(2);
  };
  return { node: make("label", { class: "gc-long" }, make("span", {}, "Radius ", make("i", {}, "δ")), input, value), update };
}

function render({ model, el }) {
  const first = { radius: model.get("radius"), points: model.get("points") };
  const tell = () => model.save_changes(); // at once: a kernel's echo in between would undo the move
  const spoken = announcer();
  let [frame, width] = [null, 360];
  let [selected, halves] = [first.points.length - 1, false];

  const state = () => ({ radius: model.get("radius"), points: model.get("points"), selected, halves });
  const change = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    tell();
  };
  /** Choose a point of those that there are, and draw it now, so that it can have the focus. */
  const choose = (index, focus) => {
    selected = index;
    draw();
    if (focus) disc.handles[index]?.focus({ preventScroll: true });
  };
  const focused = () => disc.handles.includes(el.getRootNode().activeElement);
  const hand = {
    add: (point) => {
      const { points } = state();
      if (points.length >= MOST) return null;
      change({ points: [...points, point] });
      choose(points.length, true);
      return points.length;
    },
    addFarthest: () => {
      const { points } = state();
      if (points.length >= MOST) return;
      change({ points: [...points, farthest(points).place] });
      choose(points.length, focused());
    },
    move: (index, point) => change({ points: state().points.map((old, i) => (i === index ? inDisc(point) : old)) }),
    remove: (index) => {
      const points = state().points.filter((_, i) => i !== index);
      const hadFocus = focused();
      change({ points });
      choose(Math.min(index, points.length - 1), hadFocus);
      if (hadFocus && !points.length) buttons.one.focus();
    },
    select: (index) => {
      selected = index;
      schedule();
    },
  };
  const disc = new Disc(state, hand);
  const slider = radiusSlider((radius) => change({ radius }));
  const { box: numbers, words, update: updateNumbers } = readouts();
  const replace = (points) => {
    change({ points });
    choose(points.length - 1, false);
  };
  const buttons = {
    one: button("Add farthest", hand.addFarthest),
    all: button("Add until covered", () => replace(greedy(state().radius, state().points))),
    remove: button("Remove chosen", () => hand.remove(selected)),
    clear: button("Clear", () => replace([])),
    reset: button("Reset", () => {
      change(first);
      choose(first.points.length - 1, false);
    }),
  };
  const box = make("input", { type: "checkbox" });
  box.addEventListener("change", () => {
    halves = box.checked;
    schedule();
  });

  const draw = () => {
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    const { radius, points } = state();
    selected = Math.min(selected, points.length - 1);
    if (selected < 0 && points.length) selected = 0;
    const found = evaluate(radius, points);
    disc.draw(width, state(), found);
    slider.update(radius);
    updateNumbers(radius, found);
    for (const [key, off] of Object.entries({ one: points.length >= MOST, all: found.net, remove: !points.length, clear: !points.length }))
      buttons[key].setAttribute("aria-disabled", off);
  };
  const schedule = () => {
    frame ??= requestAnimationFrame(draw);
  };
  const changed = () => {
    schedule();
    spoken.say(state);
  };

  const signs = [["gc-net-point", "point"], ["gc-net-cross", "farthest place"]];
  const key = make("p", { class: "gc-key" }, ...signs.map(([cls, text]) => make("span", {}, make("span", { class: `gc-sign ${cls}`, "aria-hidden": "true" }), text)));
  key.append(make("span", { class: "gc-fine" }, "click or tap to add, drag to move"));
  const holder = make("div", {}, disc.svg);
  const fine = make("p", { class: "gc-fine" }, "Keys at a point: arrows move it, Enter adds one, Delete removes it, Page Down goes to the next.");
  const row = make("div", { class: "gc-row", role: "group", "aria-label": "Points" }, ...Object.values(buttons));
  el.classList.add("gc", "gc-net");
  // JupyterLab would take the arrow keys of a slider for its own shortcuts.
  el.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  el.append(
    make(
      "div",
      { class: "gc-halves" },
      make("div", { class: "gc-part" }, holder, key),
      make("div", { class: "gc-part gc-side" }, slider.node, row, make("label", {}, box, "disks of half the radius (the proof’s)"), numbers, words, fine),
    ),
    spoken.node,
  );

  const observer = new ResizeObserver(() => {
    const now = Math.floor(holder.clientWidth);
    if (now > 0) width = now;
    schedule();
  });
  observer.observe(holder);
  const events = ["change:radius", "change:points"];
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
