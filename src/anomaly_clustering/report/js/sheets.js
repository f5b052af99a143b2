// Where in the sheets beside the page an image is, and a frame with its picture; without sheets pictures are addresses.

import { nameOf } from "report/image-names.js";
import { run } from "report/run.js";

// An image is put into a square cell of a sheet, and the frame, which has its aspect, shows this cell alone.
export function fillFrame(frame, image) {
  const { names, columns, positions, ratios } = run.sheets, cells = columns ** 2;
  const sheet = Math.floor(positions[image] / cells), cell = positions[image] % cells;
  frame.classList.add("cell");
  frame.style.setProperty("--ratio", ratios[image]);
  frame.style.setProperty("--x", cell % columns);
  frame.style.setProperty("--y", Math.floor(cell / columns));
  const photo = frame.querySelector(".photo"), heat = frame.querySelector(".heat");
  photo.alt = nameOf(image);
  photo.src = `${names[sheet]}.jpg`;
  if (heat) heat.src = `${names[sheet]}.svg`;
  return frame;
}
