// Precomputed pictures under a slider: step, play, or move through them by keyboard.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  back: "M11 3 5 8l6 5zM3 3h2v10H3z",
  play: "M4 2.5 13.5 8 4 13.5z",
  pause: "M3 3h4v10H3zM9 3h4v10H9z",
  on: "M5 3l6 5-6 5zM11 3h2v10h-2z",
};

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }))
    svg.setAttribute(key, value);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function button(name, picture, onClick) {
  const node = make("button", { type: "button", class: "gc-button gc-icon", "aria-label": name }, icon(picture));
  node.addEventListener("click", onClick);
  return node;
}

/** A picture that is in memory and decoded, so that showing it does not flicker. */
async function fetched(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return url;
}

function render({ model, el }) {
  const pictures = model.get("pictures");
  const labels = model.get("labels");
  const alts = model.get("alts");
  const last = pictures.length - 1;
  let timer = null;

  const image = make("img", {
    width: model.get("width"),
    height: model.get("height"),
    class: "gc-frame",
    src: pictures[model.get("index")],
    alt: alts[model.get("index")],
  });
  const slider = make("input", { type: "range", min: 0, max: last, step: 1, "aria-label": model.get("name") });
  const label = make("span", { class: "gc-label", "aria-live": "polite" });

  const go = (index) => {
    model.set("index", Math.min(last, Math.max(0, index)));
    model.save_changes();
  };
  const stop = () => {
    clearTimeout(timer);
    timer = null;
    play.setAttribute("aria-label", "Play");
    play.replaceChildren(icon("play"));
    label.setAttribute("aria-live", "polite");
  };
  const tick = async () => {
    const index = model.get("index");
    if (index >= last) return stop();
    await fetched(pictures[index + 1]).catch(() => {});
    if (timer === null) return undefined;
    go(index + 1);
    timer = setTimeout(tick, 1000 / model.get("fps"));
    return undefined;
  };
  const start = () => {
    if (model.get("index") >= last) go(0);
    play.setAttribute("aria-label", "Pause");
    play.replaceChildren(icon("pause"));
    label.setAttribute("aria-live", "off");
    timer = setTimeout(tick, 1000 / model.get("fps"));
  };
  const step = (by) => () => {
    if (timer !== null) stop();
    go(model.get("index") + by);
  };
  const play = button("Play", "play", () => (timer === null ? start() : stop()));

  const update = async () => {
    const index = model.get("index");
    slider.value = index;
    slider.setAttribute("aria-valuetext", labels[index]);
    label.textContent = labels[index];
    await fetched(pictures[index]).catch(() => {});
    if (index !== model.get("index")) return;
    image.src = pictures[index];
    image.alt = alts[index];
    if (index < last) fetched(pictures[index + 1]).catch(() => {});
  };
  slider.addEventListener("input", () => {
    if (timer !== null) stop();
    go(Number(slider.value));
  });
  slider.value = model.get("index");
  slider.setAttribute("aria-valuetext", labels[model.get("index")]);
  label.textContent = labels[model.get("index")];

  el.classList.add("gc");
  // JupyterLab would take the arrow keys of a slider for its own shortcuts.
  el.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  el.style.maxWidth = `${model.get("width")}px`;
  const controls = make(
    "div",
    { class: "gc-controls", role: "group", "aria-label": `Frames: ${model.get("name")}` },
    button("Previous frame", "back", step(-1)),
    play,
    button("Next frame", "on", step(1)),
    slider,
    label,
  );
  el.append(image, controls);
  model.on("change:index", update);
  return () => {
    stop();
    model.off("change:index", update);
  };
}

export default { render };
