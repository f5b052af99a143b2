// Which images are selected, and the marks on their figures that say so.

import { figureThere } from "report/figures.js";

const selected = new Set();
const listeners = [];

export const isSelected = (i) => selected.has(i);
export const selectedImages = () => [...selected];

export function onSelect(listener) {
  listeners.push(listener);
}

export function select(images, on) {
  for (const i of images) {
    if (on) selected.add(i);
    else selected.delete(i);
    const figure = figureThere(i);
    if (!figure) continue;  // It is marked when it is made.
    figure.classList.toggle("selected", on);
    figure.querySelector(".pick").checked = on;
  }
  for (const listener of listeners) listener();
}

export function unselect() {
  select(selectedImages(), false);
}
