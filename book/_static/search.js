// Summaries of search results quote the pages' source: cut no formula in two, and set them.
const FORMULA = /((?<!\\)\\[([].*?(?<!\\)\\[)\]])/s;
const CUT = [/^\.\.\.(?:(?!(?<!\\)\\[([]).)*?(?<!\\)\\[)\]]/s, /(?<!\\)\\(?:[([](?:(?!(?<!\\)\\[)\]]).)*)?\.\.\.$/s];

// Quote the article: the theme's main part holds buttons and a table of contents as well.
const toText = Search.htmlToText;
Search.htmlToText = (html, anchor) => {
  const article = new DOMParser().parseFromString(html, "text/html").querySelector("article");
  return toText(article ? `<div role="main">${article.outerHTML}</div>` : html, anchor);
};

const summarize = Search.makeSearchSummary;
Search.makeSearchSummary = (...page) => {
  const summary = summarize(...page);
  if (!summary) return summary;
  const text = CUT.reduce((rest, cut) => rest.replace(cut, "..."), summary.textContent);
  const formulas = [];
  summary.replaceChildren(...text.split(FORMULA).map((part, i) => {
    if (i % 2 === 0) return part;
    const formula = document.createElement("span");
    formulas.push([formula, `\\(${part.slice(2, -2)}\\)`]);
    return formula;
  }));
  // The words that were looked for are marked next, and a mark within a formula would spoil it.
  setTimeout(async () => {
    for (const [formula, tex] of formulas) formula.textContent = tex;
    await window.MathJax?.startup?.promise;
    await window.MathJax?.typesetPromise?.(formulas.map(([formula]) => formula));
  });
  return summary;
};
