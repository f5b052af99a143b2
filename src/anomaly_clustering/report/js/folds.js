// What lies folded below the galleries: a link that leads there unfolds it, and what is drawn in it is drawn then.

import { showCut } from "report/cut.js";
import { drawMap } from "report/map.js";

for (const fold of document.querySelectorAll("details.fold")) {
  fold.addEventListener("toggle", () => {
    if (!fold.open) return;
    drawMap();
    showCut();
  });
}

document.addEventListener("click", ({ target }) => {
  const link = target.closest("a[data-fold]");
  if (!link) return;
  const fold = document.querySelector(link.hash);
  fold.open = true;
  fold.querySelector("summary").focus({ preventScroll: true });
});
