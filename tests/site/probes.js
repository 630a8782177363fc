// Looks at a page from inside, for sitechecks.py: what each finds, as plain values.

window.probes = {
  math() {
    const formulas = [...document.querySelectorAll(".math")];
    const raw = formulas.filter((node) => !node.querySelector("mjx-container"));
    const wrong = [...document.querySelectorAll("mjx-merror")];
    return [
      ...raw.map((node) => `not rendered: ${node.textContent.trim()}`),
      ...wrong.map((node) => `error: ${node.getAttribute("data-mjx-error") ?? node.textContent}`),
    ];
  },

  overflow() {
    const width = document.documentElement.clientWidth;
    const right = (node) => node.getBoundingClientRect().right;
    const scrolls = (node) => {
      for (let box = node.parentElement; box && box !== document.body; box = box.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(box).overflowX) && right(box) <= width + 1)
          return true;
      return false;
    };
    const unseen = (node) =>
      node.ownerSVGElement || node.closest("mjx-assistive-mml, .visually-hidden, .sr-only");
    const out = [...document.querySelectorAll("article *")]
      .filter((node) => node.getClientRects().length && right(node) > width + 1)
      .filter((node) => !unseen(node) && !scrolls(node))
      .map((node) => `${node.outerHTML.slice(0, 80)} ends at ${Math.round(right(node))} of ${width}`);
    const cut = [...document.querySelectorAll("article .math")]
      .filter((node) => ["hidden", "clip"].includes(getComputedStyle(node).overflowX))
      .filter((node) => [...node.children].some((part) => right(part) > right(node) + 1))
      .map((node) => `${node.textContent} is cut off`);
    const whole = document.documentElement.scrollWidth;
    return [...out.slice(0, 5), ...cut, ...(whole > width ? [`the page is ${whole} wide`] : [])];
  },

  /** All that a widget draws, as one string. */
  picture(widget) {
    const geometry = ["d", "cx", "cy", "r", "transform"];
    return [
      ...[...widget.querySelectorAll("img")].map((node) => node.src),
      ...[...widget.querySelectorAll("svg *")].flatMap((node) =>
        geometry.map((name) => node.getAttribute(name)),
      ),
      ...[...widget.querySelectorAll("canvas")].map((node) => node.toDataURL()),
    ].join(" ");
  },

  open: (fold) => (fold.tagName === "DETAILS" ? fold.open : !fold.classList.contains("toggle-hidden")),

  atEnd: (slider) =>
    Number(slider.value ?? slider.ariaValueNow) >= Number(slider.max ?? slider.ariaValueMax),

  async images() {
    const out = [];
    for (const image of document.images) {
      image.loading = "eager";
      await image.decode().catch(() => {});
      const name = image.src.slice(-60);
      const decoration = ["presentation", "none"].includes(image.getAttribute("role"));
      if (!decoration && !image.alt.trim()) out.push(`no alt text: ${name}`);
      if (!image.naturalWidth) out.push(`does not load: ${name}`);
    }
    return out;
  },
};
