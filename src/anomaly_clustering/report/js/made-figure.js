// The figure of an image that the page does not come with, made from the data of the run.

import { nameOf } from "report/image-names.js";
import { UNKNOWN } from "report/labels.js";
import { run } from "report/run.js";
import { fillFrame } from "report/sheets.js";
import { translate } from "report/texts.js";
import { numLeaves } from "report/tree.js";

const pattern = document.getElementById("figure")?.content.querySelector("figure");

// With all that a figure may have; what this image does not have is taken out.
export function madeFigure(image) {
  const figure = pattern.cloneNode(true), name = nameOf(image), known = run.target[image];
  const part = (selector) => figure.querySelector(selector);
  const keepIf = (isThere, selector) => { if (!isThere) part(selector).remove(); };
  figure.dataset.index = image;
  figure.hidden = false;
  figure.toggleAttribute("data-later", image >= numLeaves);
  fillFrame(part(".frame"), image);
  part(".tile").tabIndex = -1;
  part(".pick").setAttribute("aria-label", name);
  const [folder, file] = part(".name").children, cut = name.lastIndexOf("/") + 1;
  [folder.textContent, file.textContent] = [name.slice(0, cut), name.slice(cut)];
  part(".name").title = name;
  const { originals } = run.sheets;
  if (originals[image]) part(".name").href = originals[image];
  else {
    // Nowhere to go, as the page writes it.
    const text = document.createElement("span");
    text.className = "name";
    text.title = name;
    text.append(folder, file);
    part(".name").replaceWith(text);
  }
  keepIf(known >= 0, ".class");
  if (known >= 0) part(".class span").textContent = part(".class span").title = run.classNames[known];
  keepIf(run.sound?.[image], ".sound");
  const score = run.scores?.[image] ?? null;
  keepIf(score !== null, ".score");
  if (score !== null) part(".score").textContent = Number(score.toPrecision(3));
  keepIf(image >= numLeaves, ".later");
  const isUnlike = run.labels[image] === UNKNOWN || run.proposed.includes(run.labels[image]);
  if (image >= numLeaves) part(".later").dataset.t = isUnlike ? "new_and_unlike" : "new";
  translate(figure);
  return figure;
}
