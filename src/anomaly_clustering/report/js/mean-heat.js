// The mean heat map of a cluster: each patch's mean heat over the images, on a coarse grid, in an image's colours.

import { bytesOf } from "report/bytes.js";
import { run } from "report/run.js";

const { side } = run.mean;
const cells = side ** 2;
const levels = bytesOf(run.mean.levels);

export function drawMeanHeat(canvas, images) {
  const sums = new Float64Array(cells);
  for (const i of images) for (let c = 0; c < cells; c += 1) sums[c] += levels[i * cells + c];
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d");
  sums.forEach((sum, c) => {
    // Defects of one type lie in different places, so that their mean is faint everywhere; its square root shows where.
    const heat = Math.sqrt(sum / (255 * images.length));
    pen.fillStyle = run.palette[Math.round(heat * (run.palette.length - 1))];
    pen.fillRect(c % side, Math.floor(c / side), 1, 1);
  });
}
