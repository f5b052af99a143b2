// The run's clusters and a list of decisions in; where each image is, and which names clusters have, out. Nothing is drawn.

import { run } from "report/run.js";
import { cutTree, leavesBelow, partsOf } from "report/tree.js";

export const UNKNOWN = -1;  // The group of later images that are unlike those of the run.
const FOLLOWS = -2;  // A later image stays with the image of the run that it is most like, until it is moved itself.

const DECISIONS = {
  name(labels, { cluster, name }) {
    labels.kept.add(cluster);
    if (name) labels.names.set(cluster, name);
    else labels.names.delete(cluster);
  },
  merge(labels, { from, into }) {
    labels.of.forEach((cluster, i) => { if (cluster === from) labels.of[i] = into; });
    if (labels.names.has(from) && !labels.names.has(into)) labels.names.set(into, labels.names.get(from));
    labels.names.delete(from);
    labels.kept.delete(from);
    labels.kept.add(into);
  },
  move(labels, { images, into }) {
    const cluster = into ?? freeNumber(labels);
    for (const i of images) labels.of[i] = cluster;
    labels.kept.add(cluster);
  },
  // The larger part keeps the number and the name.
  split(labels, { cluster }) {
    const parts = partsOf(members(labels, cluster));
    if (!parts) return;
    const number = freeNumber(labels);
    for (const i of parts[1]) labels.of[i] = number;
    labels.kept.add(cluster).add(number);
  },
  unsure(labels, { images, value }) {
    for (const i of images) {
      if (value) labels.unsure.add(i);
      else labels.unsure.delete(i);
    }
  },
  // Only what nobody has decided on is cut anew.
  cut(labels, { k }) {
    const open = (i) => !labels.kept.has(labels.of[i]);
    const groups = cutTree(k).map((node) => leavesBelow(node).filter(open)).filter((group) => group.length);
    for (const group of groups) for (const i of group) labels.of[i] = Infinity;
    groups.sort((a, b) => b.length - a.length || a[0] - b[0]);
    const numbers = freeNumbers(labels);
    for (const group of groups) {
      const number = numbers.next().value;
      for (const i of group) labels.of[i] = number;
    }
  },
};

export function labelsAfter(decisions) {
  const labels = labelsOfTheRun();
  for (const decision of decisions) follow(labels, decision);
  labels.of.forEach((cluster, i) => { if (cluster === FOLLOWS) labels.of[i] = labels.of[run.leaves[i]]; });
  return labels;
}

// Before any decision; later images wait for those that they follow.
export function labelsOfTheRun() {
  return { of: run.labels.slice(), names: new Map(), kept: new Set([UNKNOWN]), unsure: new Set() };
}

export function follow(labels, decision) {
  DECISIONS[decision.do](labels, decision);
}

export function members(labels, cluster) {
  return labels.of.flatMap((own, i) => (own === cluster ? [i] : []));
}

export function clustersOf(labels) {
  return [...new Set(labels.of)].sort((a, b) => (a === UNKNOWN) - (b === UNKNOWN) || a - b);
}

export function freeNumber(labels) {
  return freeNumbers(labels).next().value;
}

function* freeNumbers(labels) {
  const taken = new Set([...labels.of, ...labels.kept]);
  for (let number = 0; ; number += 1) if (!taken.has(number)) yield number;
}

// One decision for each image is what labelling costs without clusters.
export function progressOf(labels, decisions) {
  const labelled = labels.of.filter((cluster, i) => labels.names.has(cluster) && !labels.unsure.has(i)).length;
  const made = decisions.filter((decision) => decision.do !== "cut").length;
  return { images: labels.of.length, labelled, made, spared: Math.max(0, labelled - made) };
}
