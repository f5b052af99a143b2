// The mean heat map of a cluster: each patch's mean weight over the images, on a coarse grid, in an image's colours.

import { run } from "report/run.js";

const { side, scale } = run.mean;
const cells = side ** 2;
const levels = Uint8Array.from(atob(run.mean.levels), (byte) => byte.charCodeAt(0));

export function drawMeanHeat(canvas, images) {
  const mean = new Float64Array(cells);
  for (const i of images) for (let c = 0; c < cells; c += 1) mean[c] += levels[i * cells + c] * scale[i];
  const middle = mean.reduce((a, b) => a + b) / cells, excess = Math.max(...mean) - middle;
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d");
  if (excess <= 1e-3 * middle) return;
  mean.forEach((value, c) => {
    const heat = Math.max(0, value - middle) / excess;
    pen.fillStyle = run.palette[Math.round(heat * (run.palette.length - 1))];
    pen.fillRect(c % side, Math.floor(c / side), 1, 1);
  });
}
