// The images as points in the plane: neighbours look alike to the network. Points can be looked at, opened and framed.

import { photoOf } from "report/figures.js";
import { currentLabels } from "report/history.js";
import { hueOf } from "report/hue.js";
import { UNKNOWN } from "report/labels.js";
import { run } from "report/run.js";
import { isSelected, select, unselect } from "report/selection.js";
import { openView } from "report/view.js";
import { titleOf } from "report/words.js";

const { places } = run.map;  // Of each image, from 0 to 1 in both directions.
const MARGIN = 12;
const canvas = document.getElementById("map"), tip = document.getElementById("map-tip");
let frame = null;  // What the mouse draws to select the images in it.

// A place in pixels of the canvas.
function pointAt([x, y]) {
  return [MARGIN + x * (canvas.clientWidth - 2 * MARGIN), MARGIN + y * (canvas.clientHeight - 2 * MARGIN)];
}

export function drawMap() {
  const ratio = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const ink = getComputedStyle(canvas).color;
  const labels = currentLabels();
  places.forEach((place, i) => {
    const [x, y] = pointAt(place);
    pen.beginPath();
    pen.arc(x, y, isSelected(i) ? 6 : 4, 0, 7);
    pen.fillStyle = labels.of[i] === UNKNOWN ? "transparent" : `hsl(${hueOf(labels.of[i])} 62% 50% / .85)`;
    pen.fill();
    if (isSelected(i) || labels.of[i] === UNKNOWN) {
      pen.strokeStyle = ink;
      pen.stroke();
    }
  });
  if (frame) {
    pen.strokeStyle = ink;
    pen.setLineDash([4, 3]);
    pen.strokeRect(frame.x, frame.y, frame.toX - frame.x, frame.toY - frame.y);
  }
}

function nearest(x, y) {
  let best = null, least = 14;
  places.forEach((place, i) => {
    const [px, py] = pointAt(place), distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [i, distance];
  });
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
    unselect();
    select([...places.keys()].filter(inside), true);
  }
  drawMap();
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("pointercancel", () => {
  frame = null;
  drawMap();
});
new ResizeObserver(drawMap).observe(canvas);
