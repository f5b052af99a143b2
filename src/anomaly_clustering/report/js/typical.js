// The most typical images of some: those that are nearest to the centre of their cluster.

import { figures } from "report/figures.js";

const distances = figures.map((figure) => Number(figure.dataset.distance));

export const byDistance = (a, b) => distances[a] - distances[b] || a - b;

export function typicalOf(images, most) {
  return [...images].sort(byDistance).slice(0, most);
}
