// Mouse and keys on single images: looking at them, walking through a gallery, selecting, marking as unsure.

import { imageOf, shownIn } from "report/figures.js";
import { isOpen, toggleOpen } from "report/gallery.js";
import { exclude, toggleUnsure } from "report/image-decisions.js";
import { isSelected, select, selectedImages, unselect } from "report/selection.js";
import { showSimilar } from "report/similar.js";
import { openView } from "report/view.js";

const main = document.querySelector("main");
let rangeStart = null;  // The figure from which Shift-click selects.

main.addEventListener("focusin", ({ target }) => {
  const figure = target.closest("figure");
  if (figure && !selectedImages().length) rangeStart = figure;
});

main.addEventListener("change", ({ target }) => {
  if (target.matches(".pick")) select([imageOf(target.closest("figure"))], target.checked);
});

main.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile) return;
  const figure = tile.closest("figure"), i = imageOf(figure);
  if (event.shiftKey) selectRange(figure);
  else if (event.ctrlKey || event.metaKey) select([i], !isSelected(i));
  else openView(i);
});

main.addEventListener("keydown", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
  const figure = tile.closest("figure"), i = imageOf(figure);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(figure), ArrowUp: -columns(figure) }[event.key];
  const keys = {
    " ": () => select([i], !isSelected(i)),
    x: () => select([i], !isSelected(i)),
    a: () => select(shownIn(figure.parentElement).map(imageOf), true),
    u: () => {
      toggleUnsure(isSelected(i) ? selectedImages() : [i]);
      tile.focus();
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
  };
  if (step) walk(figure, step);
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

// Of a strip, which is one row, the arrows up and down lead nowhere.
function columns(figure) {
  return getComputedStyle(figure.parentElement).gridTemplateColumns.split(" ").length;
}

function walk(figure, step) {
  const section = figure.closest("section");
  const toNext = () => {
    const all = shownIn(figure.parentElement);
    return all[all.indexOf(figure) + step];
  };
  // Beyond the last one of a strip are the others.
  if (!toNext() && step > 0 && !isOpen(section) && !section.querySelector("[data-do='open']").hidden) toggleOpen(section);
  const next = toNext()?.querySelector(".tile");
  if (!next) return;
  figure.querySelector(".tile").tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function selectRange(figure) {
  const all = shownIn(figure.parentElement);
  const [first, last] = [all.indexOf(rangeStart), all.indexOf(figure)].sort((a, b) => a - b);
  select(all.slice(Math.max(0, first), last + 1).map(imageOf), true);
}
