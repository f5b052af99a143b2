// The most typical images of some: those that are nearest to the centre of their cluster.

import { run } from "report/run.js";

// What has no distance comes last.
const distances = run.distances.map((distance) => distance ?? Infinity);

export const byDistance = (a, b) => (distances[a] < distances[b] ? -1 : Number(distances[a] > distances[b])) || a - b;

export function typicalOf(images, most) {
  return [...images].sort(byDistance).slice(0, most);
}
