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

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-fold]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();  // The browser's own jump would take the focus away again.
  const fold = document.querySelector(link.hash);
  fold.open = true;
  fold.scrollIntoView();
  fold.querySelector("summary").focus({ preventScroll: true });
});
