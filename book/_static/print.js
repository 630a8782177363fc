// For paper: every fold of the text opens, pictures are fetched, and colors are those of a light page.

(() => {
  let closed = [];
  let theme;

  addEventListener("beforeprint", () => {
    if (theme !== undefined) return;
    closed = [...document.querySelectorAll("article details:not([open])")];
    for (const fold of closed) fold.open = true;
    for (const image of document.images) image.loading = "eager";
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
  });

  addEventListener("afterprint", () => {
    if (theme === undefined) return;
    for (const fold of closed) fold.open = false;
    closed = [];
    document.documentElement.dataset.theme = theme;
    theme = undefined;
  });
})();
