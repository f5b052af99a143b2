// On paper the summary comes first, then a page for each cluster.

import { showForPaper } from "report/gallery.js";
import { drawSummary } from "report/summary.js";

const summary = document.getElementById("summary"), first = document.getElementById("before-clusters");
let back = null;

addEventListener("beforeprint", () => {
  const { open, nextSibling, parentElement } = summary;
  back = () => {
    parentElement.insertBefore(summary, nextSibling);
    summary.open = open;
    showForPaper(false);
  };
  first.before(summary);
  summary.open = true;
  drawSummary();
  showForPaper(true);
});
addEventListener("afterprint", () => back?.());
document.getElementById("print").addEventListener("click", () => print());
