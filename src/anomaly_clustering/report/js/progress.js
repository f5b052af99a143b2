// How far labelling is, and how many decisions clusters have spared.

import { currentDecisions, currentLabels } from "report/history.js";
import { UNKNOWN, clustersOf, progressOf } from "report/labels.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";

const progressBar = document.getElementById("progress");

export function showProgress() {
  const labels = currentLabels(), decisions = currentDecisions();
  const { images, labelled, made, spared } = progressOf(labels, decisions);
  progressBar.max = images;
  progressBar.value = labelled;
  document.getElementById("progress-text").textContent =
    [t("labelled", { labelled, n: images }), t("made", { n: made }), t("spared", { n: spared })].join(" · ");
  // As the line counts them that the page comes with.
  const found = clustersOf(labels).filter((cluster) => cluster !== UNKNOWN && !run.proposed.includes(cluster)).length;
  document.getElementById("now").textContent = decisions.length ? t("now", { n: found }) : "";
}
