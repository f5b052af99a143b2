// One figure an image: those that the page comes with, and others, made when they are looked at and then forgotten.

import { madeFigure } from "report/made-figure.js";
import { run } from "report/run.js";
import { fillFrame } from "report/sheets.js";
import { onLanguage, translate } from "report/texts.js";

export const imageOf = (figure) => Number(figure.dataset.index);

const figures = new Map();
for (const figure of document.querySelectorAll("figure[data-index]")) figures.set(imageOf(figure), figure);
// Those that are not on the page now, too.
onLanguage(() => figures.forEach(translate));

export function figureOf(image) {
  if (!figures.has(image)) figures.set(image, madeFigure(image));
  return figures.get(image);
}

// Nothing where it is not made.
export const figureThere = (image) => figures.get(image);

// What the page could not make again stays.
export function forgetAway(gone) {
  if (!run.sheets) return;
  for (const figure of gone) if (!figure.isConnected) figures.delete(imageOf(figure));
}

let lastFocused = null;
document.querySelector("main").addEventListener("focusin", ({ target }) => {
  const figure = target.closest("figure");
  if (figure) lastFocused = imageOf(figure);
});

export const lastFocusedImage = () => lastFocused;

export const tileOf = (figure) => figure.firstElementChild;

export function focusTile(figure) {
  tileOf(figure).focus({ preventScroll: true });
}

// The picture of an image with its heat map, as it may stand elsewhere on the page.
export function frameOf(image) {
  const [first] = figures.values();
  const frame = (figures.get(image) ?? first).querySelector(".frame").cloneNode(true);
  for (const picture of frame.children) picture.loading = "eager";
  return run.sheets ? fillFrame(frame, image) : frame;
}

// The photograph alone; out of a sheet in its frame.
export function photoOf(image) {
  const frame = frameOf(image);
  if (!run.sheets) return frame.querySelector(".photo");
  frame.querySelector(".heat").remove();
  const around = document.createElement("span");
  around.className = "photograph";
  around.append(frame);
  return around;
}
