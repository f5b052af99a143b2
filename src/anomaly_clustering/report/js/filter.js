// Which images are shown, and in which order: what was searched for and chosen in, a yes or no for each image out.

import { nameOf } from "report/figures.js";
import { run } from "report/run.js";
import { byDistance } from "report/typical.js";

const lowerNames = run.paths.map((_, i) => nameOf(i).toLowerCase());
const byName = new Intl.Collator("en", { numeric: true });

// Empty texts, and scores of null, ask for nothing.
export const wanted = { text: "", cluster: "", names: "", unsure: "", least: null, most: null, sort: "" };

export const scoreOf = (i) => run.scores?.[i] ?? null;

export function isFiltered() {
  return wanted.text !== "" || Boolean(wanted.cluster || wanted.names || wanted.unsure) ||
    wanted.least !== null || wanted.most !== null;
}

export function isWanted(i, labels) {
  const cluster = labels.of[i], score = scoreOf(i);
  if (wanted.cluster !== "" && cluster !== Number(wanted.cluster)) return false;
  if (wanted.names && labels.names.has(cluster) !== (wanted.names === "named")) return false;
  if (wanted.unsure && labels.unsure.has(i) !== (wanted.unsure === "unsure")) return false;
  if (wanted.least !== null && (score === null || score < wanted.least)) return false;
  if (wanted.most !== null && (score === null || score > wanted.most)) return false;
  return wanted.text === "" || lowerNames[i].includes(wanted.text);
}

// The most typical image first, unless another order was asked for; what has no score comes last.
export function inOrder(images) {
  const orders = {
    score: (a, b) => (scoreOf(b) ?? -Infinity) - (scoreOf(a) ?? -Infinity) || byDistance(a, b),
    name: (a, b) => byName.compare(nameOf(a), nameOf(b)) || a - b,
  };
  return [...images].sort(orders[wanted.sort] ?? byDistance);
}
