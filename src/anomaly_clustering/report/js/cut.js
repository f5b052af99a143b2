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

// The last decision on all clusters at once: a cut of the tree, or labels that were loaded.
const lastOnAll = () => currentDecisions().findLast((decision) => ["cut", "take"].includes(decision.do));

function currentK() {
  const last = lastOnAll();
  if (last?.do !== "take") return last?.k ?? run.numClusters;
  const clusters = new Set(last.clusters.filter((cluster) => cluster !== null && cluster >= 0));
  return Math.min(Math.max(1, clusters.size), numLeaves);
}

function preview(k) {
  slider.value = field.value = field.defaultValue = k;
  markOnCurves(k);
  drawDendrogram(k);
}

function cutInto(asked) {
  const number = Math.round(Number(asked));
  if (!(number >= 1)) return preview(currentK());  // An empty field, or none of the numbers that there can be.
  const k = Math.min(number, numLeaves), isCut = currentDecisions().length > 0 && lastOnAll()?.do !== "take";
  if (k === currentK() && isCut) preview(k);
  else decide({ do: "cut", k }, () => t("cut_into", { n: k }));
}

slider.addEventListener("input", () => preview(Number(slider.value)));
slider.addEventListener("change", () => cutInto(slider.value));
field.addEventListener("change", () => cutInto(field.value));
