// The images as points in the plane: neighbours look alike to the network. Points can be looked at, opened and framed.

import { photoOf } from "report/figures.js";
import { isWanted } from "report/filter.js";
import { currentLabels } from "report/history.js";
import { hueOf } from "report/hue.js";
import { UNKNOWN } from "report/labels.js";
import { run } from "report/run.js";
import { isSelected, select, selectedImages, unselect } from "report/selection.js";
import { t } from "report/texts.js";
import { openView } from "report/view.js";
import { titleOf } from "report/words.js";

const { places } = run.map;  // Of each image, from 0 to 1 in both directions.
// Of more images than that a sample is drawn. A frame selects all images in it.
const MOST_POINTS = 5000;
const MARGIN = 12;
const canvas = document.getElementById("map"), tip = document.getElementById("map-tip");
let frame = null;  // What the mouse draws to select the images in it.

// By chance, so that the sample has no pattern, and always the same.
const sample = places.length <= MOST_POINTS ? [...places.keys()] : sampleOf(MOST_POINTS);
let drawn = sample;

function sampleOf(count) {
  const images = [...places.keys()];
  let seed = 1;
  for (let k = 0; k < count; k += 1) {
    seed = (seed * 48271) % 2147483647;
    const other = k + (seed % (images.length - k));
    [images[k], images[other]] = [images[other], images[k]];
  }
  return images.slice(0, count);
}

// The sample, and of what is selected as many again.
function chooseDrawn() {
  if (sample.length === places.length) return;
  const chosen = selectedImages().slice(0, MOST_POINTS);
  drawn = chosen.length ? [...new Set([...sample, ...chosen])] : sample;
  document.getElementById("map-sample").textContent = t("map_sample", { n: sample.length, all: places.length });
}

// A place in pixels of the canvas.
function pointAt([x, y]) {
  return [MARGIN + x * (canvas.clientWidth - 2 * MARGIN), MARGIN + y * (canvas.clientHeight - 2 * MARGIN)];
}

export function drawMap() {
  const ratio = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  chooseDrawn();
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const ink = getComputedStyle(canvas).color;
  const labels = currentLabels();
  for (const i of drawn) {
    const [x, y] = pointAt(places[i]);
    pen.beginPath();
    pen.arc(x, y, isSelected(i) ? 6 : 4, 0, 7);
    pen.fillStyle = labels.of[i] === UNKNOWN ? "transparent" : `hsl(${hueOf(labels.of[i])} 62% 50% / .85)`;
    pen.fill();
    if (isSelected(i) || labels.of[i] === UNKNOWN) {
      pen.strokeStyle = ink;
      pen.stroke();
    }
  }
  if (frame) {
    pen.strokeStyle = ink;
    pen.setLineDash([4, 3]);
    pen.strokeRect(frame.x, frame.y, frame.toX - frame.x, frame.toY - frame.y);
  }
}

function nearest(x, y) {
  let best = null, least = 14;
  for (const i of drawn) {
    const [px, py] = pointAt(places[i]), distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

canvas.addEventListener("pointerdown", ({ offsetX, offsetY, pointerId }) => {
  canvas.setPointerCapture(pointerId);
  frame = { x: offsetX, y: offsetY, toX: offsetX, toY: offsetY };
});
canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
  if (frame) {
    [frame.toX, frame.toY] = [offsetX, offsetY];
    drawMap();
  }
  const image = frame ? null : nearest(offsetX, offsetY);
  tip.hidden = image === null;
  if (image === null) return;
  const text = document.createElement("span"), labels = currentLabels();
  text.textContent = titleOf(labels, labels.of[image]);
  tip.replaceChildren(photoOf(image), text);
  tip.style.left = `${Math.min(offsetX + 12, canvas.clientWidth - 130)}px`;
  tip.style.top = `${offsetY + 12}px`;
});
canvas.addEventListener("pointerup", ({ offsetX, offsetY }) => {
  if (!frame) return;
  const [left, right] = [frame.x, offsetX].sort((a, b) => a - b);
  const [top, bottom] = [frame.y, offsetY].sort((a, b) => a - b);
  frame = null;
  if (right - left < 4 && bottom - top < 4) {
    const image = nearest(offsetX, offsetY);
    if (image !== null) openView(image);
  } else {
    const inside = (i) => {
      const [x, y] = pointAt(places[i]);
      return x >= left && x <= right && y >= top && y <= bottom;
    };
    const labels = currentLabels();
    unselect();
    // What a filter hides would be decided on unseen.
    select([...places.keys()].filter((i) => inside(i) && isWanted(i, labels)), true);
  }
  drawMap();
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("pointercancel", () => {
  frame = null;
  drawMap();
});
new ResizeObserver(drawMap).observe(canvas);
