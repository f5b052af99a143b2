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

// Proposed groups are counted from 1 on, since their own numbers begin at a hundred or more; galleries.py does the same.
const proposalOf = (cluster) => run.groups.indexOf(cluster) + 1;

function shortNumberOf(cluster) {
  if (cluster === UNKNOWN) return "?";
  const number = proposalOf(cluster);
  return number ? t("proposed_short", { number }) : `${cluster}`;
}

function numberOf(cluster) {
  if (cluster === UNKNOWN) return t("unknown");
  const number = proposalOf(cluster);
  return number ? t("proposed_number", { number }) : t("cluster_number", { number: cluster });
}
