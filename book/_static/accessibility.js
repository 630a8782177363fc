// Mends the theme's controls, and lets formulas scroll that are wider than a phone.

// Names must say what is seen (WCAG 2.5.3), or those who speak to their browser have to guess.
for (const button of document.querySelectorAll(".search-button-field"))
  button.removeAttribute("aria-label");
// Font Awesome replaces an icon when it is ready, which may be before or after this script runs.
function unnameIcons(button) {
  for (const icon of button.querySelectorAll(".theme-switch")) {
    for (const name of ["title", "role", "aria-labelledby"]) icon.removeAttribute(name);
    icon.querySelector("title")?.remove();
    icon.setAttribute("aria-hidden", "true");
  }
}
for (const button of document.querySelectorAll(".theme-switch-button")) {
  unnameIcons(button);
  new MutationObserver(() => unnameIcons(button)).observe(button, { childList: true });
}

// An arrow that opens a part of the contents is named after it.
for (const summary of document.querySelectorAll("li.has-children > details > summary")) {
  const part = summary.parentElement.parentElement.querySelector("a");
  summary.setAttribute("aria-label", `Pages of ${part.textContent.trim()}`);
}

// A line must not break between a formula and the comma after it.
for (const formula of document.querySelectorAll("article span.math")) {
  const after = formula.nextSibling;
  const marks = after?.nodeType === Node.TEXT_NODE && after.data.match(/^[,.;:)?!]+/);
  if (!marks) continue;
  const together = document.createElement("span");
  together.className = "math-kept";
  formula.before(together);
  after.data = after.data.slice(marks[0].length);
  together.append(formula, marks[0]);
}

// A formula in a line of text cannot be broken, and the theme cuts off what is too long. Such
// formulas become boxes that scroll; the others do not, for a box leaves the text's baseline.
const article = document.querySelector("article");
const right = (node) => node.getBoundingClientRect().right;
const cut = (formula) => [...formula.children].some((part) => right(part) > right(formula) + 1);

function markWideFormulas() {
  const formulas = [...article.querySelectorAll("span.math")];
  for (const formula of formulas) formula.classList.remove("math-wide");
  const wide = formulas.filter(cut);
  for (const formula of wide) formula.classList.add("math-wide");
}

if (article) new ResizeObserver(() => requestAnimationFrame(markWideFormulas)).observe(article);

// The theme lets the keyboard reach code that scrolls, but looks only once, when what is folded has no
// width yet. A fold that opens changes the article's height, so look again then.
function letKeyboardScroll() {
  for (const code of article.querySelectorAll("pre, .cell_output > .output"))
    if (code.clientWidth) code.tabIndex = code.scrollWidth > code.clientWidth ? 0 : -1;
}

if (article) new ResizeObserver(() => requestAnimationFrame(letKeyboardScroll)).observe(article);

// A displayed formula that is wider than its box fades at the edge until it is scrolled to its end.
const DISPLAYED = "div.math, div.math mjx-container";

function markGoingOn(formula) {
  const hidden = formula.scrollWidth - formula.clientWidth - formula.scrollLeft;
  const scrolls = /auto|scroll/.test(getComputedStyle(formula).overflowX);
  formula.classList.toggle("math-goes-on", scrolls && hidden > 2);
}

if (article) {
  const markAll = () => article.querySelectorAll(DISPLAYED).forEach(markGoingOn);
  new ResizeObserver(() => requestAnimationFrame(markAll)).observe(article);
  article.addEventListener("scroll", ({ target }) => target.matches(DISPLAYED) && markGoingOn(target), true);
}
