// The dendrogram: images of the run are nodes 0 to n - 1, merge i makes node n + i, as in scipy's linkage matrix.

import { run } from "report/run.js";

export const numLeaves = run.tree.length + 1;
export const ROOT = 2 * numLeaves - 2;

export function childrenOf(node) {
  return node < numLeaves ? [] : run.tree[node - numLeaves].slice(0, 2);
}

export function heightOf(node) {
  return node < numLeaves ? 0 : run.tree[node - numLeaves][2];
}

export function leavesBelow(node) {
  const leaves = [], open = [node];
  while (open.length) {
    const next = open.pop();
    if (next < numLeaves) leaves.push(next);
    else open.push(...childrenOf(next));
  }
  return leaves.sort((a, b) => a - b);
}

// How far to the right each image of the run stands under the dendrogram, from 0 on.
export const leafPlaces = placesOfLeaves();

function placesOfLeaves() {
  const places = new Uint32Array(numLeaves), open = [ROOT];
  for (let place = 0; open.length;) {
    const node = open.pop();
    if (node < numLeaves) places[node] = place++;
    else open.push(...childrenOf(node).reverse());
  }
  return places;
}

// The nodes that are k clusters: the last k - 1 merges are undone.
export function cutTree(k) {
  const undone = 2 * numLeaves - k;
  if (k === 1) return [ROOT];
  const nodes = [];
  for (let node = undone; node <= ROOT; node += 1) nodes.push(...childrenOf(node).filter((child) => child < undone));
  return nodes;
}

export const hasParts = (images) => images.some((i) => run.leaves[i] !== run.leaves[images[0]]);

// The branch that holds the smaller of the two parts of some images that the dendrogram joins last; null where there is
// only one. Images that came after the run are counted with the image of the run that they are most like.
export function smallerBranch(images) {
  const count = countsBelow(images);
  let node = ROOT;
  while (node >= numLeaves) {
    const [a, b] = childrenOf(node);
    if (count[a] && count[b]) return count[a] < count[b] ? a : b;
    node = count[a] ? a : b;
  }
  return null;
}

// Counts of images below each node, for those that are chosen.
function countsBelow(images) {
  const count = new Uint32Array(ROOT + 1);
  for (const i of images) count[run.leaves[i]] += 1;
  for (let node = numLeaves; node <= ROOT; node += 1) for (const child of childrenOf(node)) count[node] += count[child];
  return count;
}

// The images of the run that the dendrogram joins to some images first, without these; none where there are no others.
export function siblingsOf(images) {
  const count = countsBelow(images), own = new Set(images.map((i) => run.leaves[i]));
  for (let node = numLeaves; node <= ROOT; node += 1) {
    if (count[node] < images.length) continue;
    const others = leavesBelow(node).filter((leaf) => !own.has(leaf));
    if (others.length) return others;
  }
  return [];
}
