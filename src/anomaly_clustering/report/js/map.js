// The images as points in the plane: neighbours look alike to the network. Points can be looked at, opened and framed.

const canvas = byId("map"), tip = byId("map-tip");
let frame = null;

function place(i) {
  const [x, y] = run.map.places[i];
  return [12 + x * (canvas.clientWidth - 24), 12 + y * (canvas.clientHeight - 24)];
}

function drawMap() {
  const ratio = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const ink = getComputedStyle(canvas).color;
  run.map.places.forEach((_, i) => {
    const [x, y] = place(i);
    pen.beginPath();
    pen.arc(x, y, selected.has(i) ? 6 : 4, 0, 7);
    pen.fillStyle = labels.of[i] === UNKNOWN ? "transparent" : `hsl(${hueOf(labels.of[i])} 62% 50% / .85)`;
    pen.fill();
    if (selected.has(i) || labels.of[i] === UNKNOWN) {
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
  run.map.places.forEach((_, i) => {
    const [px, py] = place(i), distance = Math.hypot(px - x, py - y);
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
  const picture = figures[image].querySelector(".photo").cloneNode();
  picture.loading = "eager";
  const text = document.createElement("span");
  text.textContent = titleOf(labels, labels.of[image]);
  tip.replaceChildren(picture, text);
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
      const [x, y] = place(i);
      return x >= left && x <= right && y >= top && y <= bottom;
    };
    unselect();
    select(run.map.places.map((_, i) => i).filter(inside), true);
  }
  drawMap();
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("pointercancel", () => {
  frame = null;
  drawMap();
});
new ResizeObserver(drawMap).observe(canvas);
