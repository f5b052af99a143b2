// Mouse and keys on single images: looking at them, walking through a gallery, selecting, marking as unsure.

import { figureThere, imageOf, tileOf } from "report/figures.js";
import { focusNear } from "report/focus.js";
import { bring, isOpen, sectionOf, shownIn, toggleOpen } from "report/gallery.js";
import { currentLabels } from "report/history.js";
import { exclude, toggleUnsure } from "report/image-decisions.js";
import { run } from "report/run.js";
import { isSelected, select, selectedImages, unselect } from "report/selection.js";
import { showSimilar } from "report/similar.js";
import { takesLetters } from "report/typing.js";
import { openView } from "report/view.js";

const main = document.querySelector("main");
let rangeStart = null;  // The image from which Shift-click selects.

main.addEventListener("focusin", ({ target }) => {
  const figure = target.closest("figure");
  if (figure && !selectedImages().length) rangeStart = imageOf(figure);
});

main.addEventListener("change", ({ target }) => {
  if (target.matches(".pick")) select([imageOf(target.closest("figure"))], target.checked);
});

main.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile) return;
  const figure = tile.closest("figure"), i = imageOf(figure);
  if (event.shiftKey) selectRange(i);
  else if (event.ctrlKey || event.metaKey) {
    rangeStart = i;
    select([i], !isSelected(i));
  } else openView(i);
});

main.addEventListener("keydown", (event) => {
  const figure = event.target.closest("figure");
  if (!figure || event.ctrlKey || event.metaKey || event.altKey || isItsOwn(event)) return;
  const i = imageOf(figure);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(figure), ArrowUp: -columns(figure) }[event.key];
  const keys = {
    " ": () => select([i], !isSelected(i)),
    x: () => select([i], !isSelected(i)),
    a: () => select(shownIn(figure.closest("section")), true),
    u: () => {
      toggleUnsure(isSelected(i) ? selectedImages() : [i]);
      focusNear(i);
    },
    r: () => exclude(isSelected(i) ? selectedImages() : [i]),
    s: () => showSimilar(i),
    m: () => {
      select([i], true);
      document.getElementById("move-to").focus();
    },
    n: () => figure.closest("section").querySelector(".naming").focus(),
    Enter: () => openView(i),
    Escape: unselect,
    Home: () => walk(i, -Infinity),
    End: () => walk(i, Infinity),
  };
  if (step) walk(i, step);
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

// Without an image under the focus, as after a frame on the map, keys are for the selection.
document.addEventListener("keydown", (event) => {
  const { key, target } = event, images = selectedImages();
  if (!images.length || event.ctrlKey || event.metaKey || event.altKey) return;
  if (takesLetters(target) || target.closest("figure, dialog")) return;
  const keys = {
    m: () => document.getElementById("move-to").focus(),
    r: () => exclude(images),
    u: () => toggleUnsure(images),
    // The shelf closes and the bar goes away by themselves.
    Escape: target.closest(".shelf, .selection") ? null : unselect,
  };
  if (!keys[key]) return;
  event.preventDefault();
  keys[key]();
});

// A mouse leaves the focus on the checkbox or the link of a figure, and there these keys have a meaning already.
function isItsOwn({ key, target }) {
  return (key === " " && target.matches("input")) || (key === "Enter" && target.matches("a"));
}

// Of a strip, which is one row, the arrows up and down lead nowhere.
function columns(figure) {
  return getComputedStyle(figure.parentElement).gridTemplateColumns.split(" ").length;
}

function walk(image, step) {
  const section = sectionOf(currentLabels().of[image]);
  // After the most typical ones of a strip come the others, before the edge.
  const leaves = !isOpen(section) && step > 0 && shownIn(section).indexOf(image) + step >= run.inStrip;
  const isBefore = shownIn(section).indexOf(image) < run.inStrip && Number.isFinite(step);
  if (leaves && isBefore && !section.querySelector("[data-do='open']").hidden) toggleOpen(section);
  const all = shownIn(section), at = all.indexOf(image) + step;
  const next = Number.isFinite(step) ? all[at] : all.at(step < 0 ? 0 : -1);
  if (next === undefined) return;
  focusOn(next, image);
}

function focusOn(image, before = null) {
  const figure = bring(image);
  if (!figure) return;
  const left = figureThere(before);
  if (left) tileOf(left).tabIndex = -1;
  tileOf(figure).tabIndex = 0;
  tileOf(figure).focus();
}

function selectRange(image) {
  const all = shownIn(sectionOf(currentLabels().of[image]));
  // A range is of one gallery.
  if (!all.includes(rangeStart)) rangeStart = image;
  const [first, last] = [all.indexOf(rangeStart), all.indexOf(image)].sort((a, b) => a - b);
  select(all.slice(first, last + 1), true);
}
