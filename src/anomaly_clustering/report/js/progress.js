// How far labelling is, and how many decisions clusters have spared.

import { currentDecisions, currentLabels } from "report/history.js";
import { clustersOf, progressOf } from "report/labels.js";
import { plural } from "report/words.js";

const progressBar = document.getElementById("progress");

export function showProgress() {
  const labels = currentLabels(), decisions = currentDecisions();
  const { images, labelled, made, spared } = progressOf(labels, decisions);
  progressBar.max = images;
  progressBar.value = labelled;
  document.getElementById("progress-text").textContent =
    `${labelled} of ${images} images labelled · ${plural(made, "decision")} made · ` +
    `${plural(spared, "decision")} spared`;
  const found = plural(clustersOf(labels).length, "cluster");
  document.getElementById("now").textContent = decisions.length ? `now ${found}` : "";
}
