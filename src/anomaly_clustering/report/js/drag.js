// Dragging selected images to a gallery or to the navigation moves them there.

import { imageOf } from "report/figures.js";
import { clusterOf } from "report/gallery.js";
import { moveTo } from "report/image-decisions.js";
import { isSelected, select, selectedImages, unselect } from "report/selection.js";

const main = document.querySelector("main");

main.addEventListener("dragstart", (event) => {
  const figure = event.target.closest?.("figure");  // What is dragged may be text, which has no closest().
  if (!figure) return;
  const i = imageOf(figure);
  if (!isSelected(i)) {
    unselect();
    select([i], true);
  }
  event.dataTransfer.setData("text/plain", `${selectedImages().length}`);
  event.dataTransfer.effectAllowed = "move";
});

const dropTarget = ({ target }) => (selectedImages().length ? target.closest?.("[data-cluster]") : null);

function markDropTarget(target) {
  for (const old of document.querySelectorAll(".drop")) if (old !== target) old.classList.remove("drop");
  target?.classList.add("drop");
}

for (const area of [main, document.querySelector("nav ul")]) {
  area.addEventListener("dragover", (event) => {
    const target = dropTarget(event);
    markDropTarget(target);
    if (target) event.preventDefault();
  });
  area.addEventListener("drop", (event) => {
    const target = dropTarget(event);
    if (!target) return;
    event.preventDefault();
    moveTo(selectedImages(), clusterOf(target));
    unselect();
  });
}
document.addEventListener("dragend", () => markDropTarget(null));
