// How the page words what it shows: clusters by their names or numbers, counts with their nouns.

import { UNKNOWN } from "report/labels.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";

export function titleOf(labels, cluster) {
  return labels.names.get(cluster) ?? numberOf(cluster);
}

export function shortTitleOf(labels, cluster) {
  return labels.names.get(cluster) ?? shortNumberOf(cluster);
}

// Where a name alone would not do, since several clusters may have it.
export function fullTitleOf(labels, cluster) {
  const name = labels.names.get(cluster);
  return name ? t("name_and_number", { name, title: numberOf(cluster) }) : numberOf(cluster);
}

function shortNumberOf(cluster) {
  if (cluster === UNKNOWN) return "?";
  return run.proposed.includes(cluster) ? t("proposed_short", { number: cluster }) : `${cluster}`;
}

// By the number that tables and commands have for it; galleries.py does the same.
function numberOf(cluster) {
  if (cluster === UNKNOWN) return t("unknown");
  return t(run.proposed.includes(cluster) ? "proposed_number" : "cluster_number", { number: cluster });
}
