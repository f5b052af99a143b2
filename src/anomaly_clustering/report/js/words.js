// How the page words what it shows: clusters by their names or numbers, counts with their nouns.

import { UNKNOWN } from "report/labels.js";
import { t } from "report/texts.js";

export function titleOf(labels, cluster) {
  return labels.names.get(cluster) ?? numberOf(cluster);
}

export function shortTitleOf(labels, cluster) {
  return labels.names.get(cluster) ?? (cluster === UNKNOWN ? "?" : `${cluster}`);
}

// Where a name alone would not do, since several clusters may have it.
export function fullTitleOf(labels, cluster) {
  const name = labels.names.get(cluster);
  return name ? t("name_and_number", { name, title: numberOf(cluster) }) : numberOf(cluster);
}

function numberOf(cluster) {
  return cluster === UNKNOWN ? t("unknown") : t("cluster_number", { number: cluster });
}
