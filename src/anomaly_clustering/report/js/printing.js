// On paper the summary comes first, then a page for each cluster.

import { drawSummary } from "report/summary.js";

const summary = document.getElementById("summary"), first = document.getElementById("before-clusters");
let back = null;

addEventListener("beforeprint", () => {
  const { open, nextSibling, parentElement } = summary;
  back = () => {
    parentElement.insertBefore(summary, nextSibling);
    summary.open = open;
  };
  first.before(summary);
  summary.open = true;
  drawSummary();
});
addEventListener("afterprint", () => back?.());
document.getElementById("print").addEventListener("click", () => print());
