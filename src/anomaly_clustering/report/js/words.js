// How the page words what it shows: clusters by their names or numbers, counts with their nouns.

import { UNKNOWN } from "report/labels.js";

export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function titleOf(labels, cluster) {
  return labels.names.get(cluster) ?? (cluster === UNKNOWN ? "Unknown" : `Cluster ${cluster}`);
}

export function shortTitleOf(labels, cluster) {
  return labels.names.get(cluster) ?? (cluster === UNKNOWN ? "?" : `${cluster}`);
}
