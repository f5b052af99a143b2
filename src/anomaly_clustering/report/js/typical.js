// The most typical images of some: those that are nearest to the centre of their cluster.

import { figures } from "report/figures.js";

export const distanceOf = (image) => Number(figures[image].dataset.distance);

export function typicalOf(images, most) {
  return [...images].sort((a, b) => distanceOf(a) - distanceOf(b) || a - b).slice(0, most);
}
