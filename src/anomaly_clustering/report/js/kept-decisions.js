// Decisions with the images' numbers on this page in; as the browser keeps them, by what files hold, out; and back.

import { run } from "report/run.js";
import { numLeaves } from "report/tree.js";

// What each image is kept by. One of the run has the same number on every page of it; a later one has another where
// other images came. Behind those of this page stand those that are not on it: decisions on them wait until they are.
const names = run.paths.map((path, i) => (i < numLeaves ? i : run.contents[i - numLeaves] || path));
const numbers = new Map(names.map((name, i) => [name, i]));

export const numNamed = () => names.length;
export const numElsewhere = () => names.slice(run.paths.length).filter((name) => !name.startsWith("#")).length;

export const toKeep = (decisions) => decisions.map((decision) => renamed(apart(decision), (image) => names[image]));

// Numbers of later images are those of this page, unless `meant` has others, or names, for them.
export function fromKept(list, meant = (image) => image) {
  const isOfRun = (image) => !(Number.isInteger(image) && image >= numLeaves);
  const found = (image) => numbered(isOfRun(image) ? image : meant(image));
  return listed(list, (decision) => together(renamed(apart(decision), found)));
}

// What an earlier version kept tells later images by their numbers on its page, which may be those of others on this
// one: these are on none then. Whether there are such is told too.
export function readKept(list) {
  let hasNumbers = false;
  const found = fromKept(list, (image) => {
    if (image >= run.paths.length) return null;
    hasNumbers = true;
    return `#${image}`;
  });
  return { list: found, hasNumbers };
}

function numbered(name) {
  // No number is that of an image that is not on this page.
  if (typeof name !== "string") return name < run.paths.length ? name : null;
  if (!numbers.has(name)) numbers.set(name, names.push(name) - 1);
  return numbers.get(name);
}

// What is no list, or no pair, stays as it is, for the check to refuse.
const listed = (value, change) => (Array.isArray(value) ? value.map(change) : value);
const paired = (value, change) => (
  listed(value, (pair) => (Array.isArray(pair) ? [change(pair[0]), ...pair.slice(1)] : pair))
);

function renamed(decision, change) {
  const { images, unsure, notIn, later } = decision ?? {};
  return {
    ...decision, images: listed(images, change), unsure: listed(unsure, change), notIn: paired(notIn, change),
    later: paired(later, change),
  };
}

// The clusters of all images as those of the run, in their order, and pairs of a later image and its cluster.
function apart(decision) {
  if (!Array.isArray(decision?.clusters) || decision.clusters.length <= numLeaves) return decision;
  const later = decision.clusters.map((cluster, i) => [i, cluster]).slice(numLeaves).filter(([, own]) => own !== null);
  return { ...decision, clusters: decision.clusters.slice(0, numLeaves), later };
}

function together({ later, ...decision }) {
  if (later === undefined) return decision;
  const isRight = (pair) => pair?.length === 2 && pair[0] >= numLeaves && pair[0] < names.length;
  const areRight = Array.isArray(decision.clusters) && Array.isArray(later) && later.every(isRight);
  if (!areRight) return { ...decision, clusters: null };
  const clusters = [...decision.clusters];
  for (const [image, cluster] of later) clusters[image] = cluster;
  return { ...decision, clusters: Array.from(clusters, (cluster) => cluster ?? null) };
}
