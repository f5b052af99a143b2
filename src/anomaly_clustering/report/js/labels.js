// The run's clusters and a list of decisions in; where each image is, and which names clusters have, out. Nothing is drawn.

import { alikeOf } from "report/alike.js";
import { run } from "report/run.js";
import { cutTree, leafPlaces, leavesBelow, smallerBranch } from "report/tree.js";

export const UNKNOWN = -1;  // The group of later images that are unlike those of the run.
const FOLLOWS = -2;  // A later image stays with the image of the run that it is most like, until it is moved itself.

// An image that is not on this page is in no cluster until a decision puts it into one, whose number is taken then.
const isHere = (i) => i < run.paths.length;

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
    for (const clusters of labels.notIn.values()) if (clusters.delete(from) && into !== UNKNOWN) clusters.add(into);
    for (const [i, clusters] of labels.notIn) clusters.delete(clusterOf(labels, i));
  },
  move(labels, { images, into }) {
    const cluster = into ?? freeNumber(labels);
    for (const i of images) {
      labels.of[i] = cluster;
      labels.notIn.get(i)?.delete(cluster);
    }
    labels.kept.add(cluster);
  },
  // Each image leaves the cluster that it was seen in, and goes where it was seen to go: once others have come, or are
  // not on this page, it would be another one. Earlier versions did not keep that, of images on the page alone.
  exclude(labels, { images: all, from, into }) {
    const images = into ? all : all.filter(isHere);
    const left = from ?? images.map((i) => clusterOf(labels, i)), goTo = into ?? whereAlike(labels, images);
    images.forEach((i, k) => {
      if (left[k] === undefined || left[k] === UNKNOWN || left[k] === goTo[k]) return;
      if (!labels.notIn.has(i)) labels.notIn.set(i, new Set());
      labels.notIn.get(i).add(left[k]);
      labels.kept.add(left[k]);
    });
    const number = freeNumber(labels);
    images.forEach((i, k) => {
      labels.of[i] = goTo[k] ?? number;
      labels.kept.add(labels.of[i]);
    });
  },
  // What a file says of the images that it lists, in place of all that was decided before.
  take(labels, { clusters, names, unsure, notIn }) {
    // A later image that is where the one is that it follows goes on to follow that one.
    const follows = (own, i) => own === FOLLOWS && clusters[i] === clusters[run.leaves[i]];
    labels.of = run.labels.map((own, i) => (follows(own, i) ? own : clusters[i] ?? own));
    clusters.forEach((cluster, i) => { if (!isHere(i) && cluster !== null) labels.of[i] = cluster; });
    labels.names = new Map(names);
    labels.unsure = new Set(unsure);
    labels.notIn = new Map(notIn.map(([image, from]) => [image, new Set(from)]));
    labels.kept = new Set([UNKNOWN, ...labels.names.keys(), ...notIn.flatMap(([, from]) => from)]);
  },
  // The larger part keeps the number and the name, as it was when that was decided: the other one is below a branch of
  // the dendrogram, with all that follow its images. Earlier versions kept no branch, and counted none that follow.
  split(labels, { cluster, branch }) {
    const images = members(labels, cluster).filter(isHere), node = branch ?? smallerBranch(images);
    if (node === null) return;
    const number = freeNumber(labels), below = new Set(leavesBelow(node));
    for (const i of images) if (below.has(run.leaves[i])) labels.of[i] = number;
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

// The labels after each decision so far, so that one more, or one less, is quick. Of those before the latest ones some.
const LATEST = 20;
const after = [];

export function labelsAfter(decisions) {
  let same = 0;
  while (same < after.length && after[same].decision === decisions[same]) same += 1;
  after.length = same;
  while (same && !after[same - 1].labels) same -= 1;
  let labels = same ? after[same - 1].labels : labelsOfTheRun();
  for (let k = same; k < decisions.length; k += 1) {
    labels = copyOf(labels);
    follow(labels, decisions[k]);
    after[k] = { decision: decisions[k], labels };
    if (k >= LATEST && k % LATEST) after[k - LATEST].labels = null;
  }
  // From here on nothing changes.
  const found = copyOf(labels);
  found.of.length = run.paths.length;
  found.of.forEach((_, i) => { found.of[i] = clusterOf(found, i); });
  // One that follows into a cluster that it was taken out of is there, until the other one moves on.
  for (const [i, clusters] of found.notIn) clusters.delete(found.of[i]);
  found.images = imagesByCluster(found);
  found.clusters = inTheirOrder(found);
  return found;
}

function copyOf({ of, names, kept, unsure, notIn }) {
  return {
    of: of.slice(), names: new Map(names), kept: new Set(kept), unsure: new Set(unsure),
    notIn: new Map([...notIn].map(([image, clusters]) => [image, new Set(clusters)])),
  };
}

// Between two decisions, too, when later images still wait for those that they follow.
function clusterOf(labels, i) {
  return labels.of[i] === FOLLOWS ? labels.of[run.leaves[i]] : labels.of[i];
}

// For each image, to be taken out of its cluster, that of the image which is most like it and in none of those that it
// is not in; null where none of the most alike ones is.
export function whereAlike(labels, images) {
  return images.map((i) => {
    const not = new Set([UNKNOWN, clusterOf(labels, i), ...labels.notIn.get(i) ?? []]);
    return alikeOf(i).map((other) => clusterOf(labels, other)).find((cluster) => !not.has(cluster)) ?? null;
  });
}

// Before any decision; later images wait for those that they follow.
export function labelsOfTheRun() {
  const kept = new Set([UNKNOWN]);
  return { of: run.labels.slice(), names: new Map(), kept, unsure: new Set(), notIn: new Map() };
}

export function follow(labels, decision) {
  DECISIONS[decision.do](labels, decision);
}

// In the order of their numbers.
export function members(labels, cluster) {
  return (labels.images ?? imagesByCluster(labels)).get(cluster) ?? [];
}

function imagesByCluster(labels) {
  const images = new Map();
  labels.of.forEach((cluster, i) => {
    if (images.has(cluster)) images.get(cluster).push(i);
    else images.set(cluster, [i]);
  });
  return images;
}

// Whether images are where they are, are marked as they are, and are called what they are in both.
export function areSame(labels, others) {
  const [told, asTold] = [labels, others].map(({ of, names, unsure, notIn }) => JSON.stringify([
    of.map((cluster) => [cluster, names.get(cluster) ?? ""]),
    of.map((_, i) => [unsure.has(i), [...notIn.get(i) ?? []].sort()]),
  ]));
  return told === asTold;
}

export const clustersOf = (labels) => labels.clusters;

// Proposed groups, then from left to right under the dendrogram by the mean place; galleries.py does the same.
function inTheirOrder(labels) {
  const mean = (images) => images.reduce((sum, i) => sum + leafPlaces[run.leaves[i]], 0) / images.length;
  const places = new Map([...labels.images].map(([cluster, images]) => [cluster, mean(images)]));
  const byPlace = (a, b) => places.get(a) - places.get(b);
  const last = (cluster) => cluster === UNKNOWN, first = (cluster) => run.proposed.includes(cluster);
  return [...places.keys()].sort((a, b) => last(a) - last(b) || first(b) - first(a) || byPlace(a, b) || a - b);
}

function freeNumber(labels) {
  return freeNumbers(labels).next().value;
}

function* freeNumbers(labels) {
  // A proposed group may come back, and the page calls it by what it is.
  const taken = new Set([...labels.of, ...labels.kept, ...run.groups]);
  for (let number = 0; ; number += 1) if (!taken.has(number)) yield number;
}

// One decision for each image is what labelling costs without clusters.
export function progressOf(labels, decisions) {
  const labelled = labels.of.filter((cluster, i) => labels.names.has(cluster) && !labels.unsure.has(i)).length;
  const made = decisions.reduce((sum, decision) => sum + costOf(decision), 0);
  return { images: labels.of.length, labelled, made, spared: Math.max(0, labelled - made) };
}

// A cut decides on nothing; a file tells names and doubts, and not how many decisions these took.
function costOf(decision) {
  if (decision.do === "cut") return 0;
  return decision.do === "take" ? decision.names.length + decision.unsure.length + decision.notIn.length : 1;
}
