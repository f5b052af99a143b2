// Clusters as the options of a list to choose one from: name, number and size.

import { currentLabels } from "report/history.js";
import { clustersOf, members } from "report/labels.js";
import { t } from "report/texts.js";
import { fullTitleOf } from "report/words.js";

export function clusterOptions(except) {
  const labels = currentLabels();
  return clustersOf(labels)
    .filter((cluster) => cluster !== except)
    .map((cluster) => new Option(`${fullTitleOf(labels, cluster)}, ${t("images", { n: members(labels, cluster).length })}`, cluster));
}
