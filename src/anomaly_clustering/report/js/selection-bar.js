// The bar at the foot of the page while images are selected: how many, and what to do with them.

import { hasAlike } from "report/alike.js";
import { clusterOptions } from "report/cluster-options.js";
import { lastFocusedImage } from "report/figures.js";
import { isWanted } from "report/filter.js";
import { focusNear } from "report/focus.js";
import { currentLabels } from "report/history.js";
import { exclude, moveTo, toggleUnsure } from "report/image-decisions.js";
import { selectedImages, unselect } from "report/selection.js";
import { showSimilar } from "report/similar.js";
import { t } from "report/texts.js";

const bar = document.getElementById("selection");
const targets = document.getElementById("move-to");
const moveButton = document.getElementById("move"), likeButton = document.getElementById("like-selected");

export function showSelectionBar() {
  const labels = currentLabels(), selected = selectedImages(), count = selected.length;
  const hidden = selected.filter((i) => !isWanted(i, labels)).length;
  bar.hidden = !count;
  document.getElementById("selection-text").textContent =
    t("selected", { n: count }) + (hidden ? `, ${t("selected_hidden", { n: hidden })}` : "");
  likeButton.hidden = count !== 1 || !hasAlike;
}

export function offerTargets() {
  const before = targets.value;
  targets.replaceChildren(...clusterOptions(null), new Option(t("a_new_cluster"), "new"));
  if ([...targets.options].some((option) => option.value === before)) targets.value = before;
}

// The bar goes away with the focus in it.
function leave() {
  unselect();
  focusNear(lastFocusedImage(), { preventScroll: true });
}

moveButton.addEventListener("click", () => {
  moveTo(selectedImages(), targets.value === "new" ? null : Number(targets.value));
});
document.getElementById("mark-unsure").addEventListener("click", () => toggleUnsure(selectedImages()));
document.getElementById("exclude").addEventListener("click", () => exclude(selectedImages()));
likeButton.addEventListener("click", () => showSimilar(selectedImages()[0]));
document.getElementById("unselect").addEventListener("click", leave);
bar.addEventListener("keydown", ({ key, target }) => {
  if (key === "Escape") leave();
  if (key === "Enter" && target === targets) moveButton.click();
});
