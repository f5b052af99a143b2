// Clusters as the options of a list to choose one from.

import { currentLabels } from "report/history.js";
import { clustersOf } from "report/labels.js";
import { titleOf } from "report/words.js";

export function clusterOptions(except) {
  const labels = currentLabels();
  return clustersOf(labels)
    .filter((cluster) => cluster !== except)
    .map((cluster) => new Option(titleOf(labels, cluster), cluster));
}
