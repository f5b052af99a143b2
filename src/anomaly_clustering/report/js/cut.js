// How many clusters? The slider and the field that cut the dendrogram into K of them.

import { markOnCurves } from "report/curves.js";
import { drawDendrogram } from "report/dendrogram.js";
import { currentDecisions, decide } from "report/history.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";
import { numLeaves } from "report/tree.js";

const slider = document.getElementById("k"), field = document.getElementById("k-number");

export function showCut() {
  preview(currentK());
}

function currentK() {
  return currentDecisions().findLast((decision) => decision.do === "cut")?.k ?? run.numClusters;
}

function preview(k) {
  slider.value = field.value = k;
  markOnCurves(k);
  drawDendrogram(k);
}

function cutInto(asked) {
  const k = Math.min(Math.max(1, Math.round(Number(asked)) || 1), numLeaves);
  if (k === currentK() && currentDecisions().length) preview(k);
  else decide({ do: "cut", k }, t("cut_into", { n: k }));
}

slider.addEventListener("input", () => preview(Number(slider.value)));
slider.addEventListener("change", () => cutInto(slider.value));
field.addEventListener("change", () => cutInto(field.value));
