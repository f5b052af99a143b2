// Which images are shown, and in which order: what was searched for and chosen in, a yes or no for each image out.

import { nameOf } from "report/image-names.js";
import { valueOf } from "report/metadata.js";
import { run } from "report/run.js";
import { byDistance } from "report/typical.js";

// What is searched in and for: in small letters, each with its accent in one, which some file systems write as two.
export const plainOf = (text) => text.normalize("NFC").toLowerCase();

const plainNames = run.paths.map((_, i) => plainOf(nameOf(i)));

// Empty texts, and scores of null, ask for nothing. `values` are those of a column of the metadata; null for all.
export const wanted = {
  text: "", cluster: "", names: "", unsure: "", least: null, most: null, sort: "", column: null, values: null,
};

export const scoreOf = (i) => run.scores?.[i] ?? null;

export function isFiltered() {
  return wanted.text !== "" || Boolean(wanted.cluster || wanted.names || wanted.unsure || wanted.values) ||
    wanted.least !== null || wanted.most !== null;
}

export function isWanted(i, labels) {
  const cluster = labels.of[i], score = scoreOf(i);
  if (wanted.cluster !== "" && cluster !== Number(wanted.cluster)) return false;
  if (wanted.names && labels.names.has(cluster) !== (wanted.names === "named")) return false;
  if (wanted.unsure && labels.unsure.has(i) !== (wanted.unsure === "unsure")) return false;
  if (wanted.least !== null && (score === null || score < wanted.least)) return false;
  if (wanted.most !== null && (score === null || score > wanted.most)) return false;
  if (wanted.values && !wanted.values.has(valueOf(wanted.column, i))) return false;
  return wanted.text === "" || plainNames[i].includes(wanted.text);
}

// All images in each order, once it was asked for; numbers in names count as numbers.
const orders = new Map();
const sorted = {
  "": byDistance,
  score: (a, b) => (scoreOf(b) ?? -Infinity) - (scoreOf(a) ?? -Infinity) || byDistance(a, b),
};

function orderBy(sort) {
  if (orders.has(sort)) return orders.get(sort);
  const images = Uint32Array.from(run.paths.keys()), ranks = new Uint32Array(images.length);
  if (sort === "name") {
    const keys = plainNames.map((name) => name.replace(/\d+/g, (digits) => digits.padStart(12, "0")));
    images.sort((a, b) => (keys[a] < keys[b] ? -1 : Number(keys[a] > keys[b])) || a - b);
  } else images.sort(sorted[sort]);
  images.forEach((image, rank) => { ranks[image] = rank; });
  orders.set(sort, { images, ranks });
  return orders.get(sort);
}

// The most typical image first, unless another order was asked for; what has no score comes last.
export function inOrder(images) {
  const order = orderBy(wanted.sort);
  return Array.from(Uint32Array.from(images, (i) => order.ranks[i]).sort(), (rank) => order.images[rank]);
}
