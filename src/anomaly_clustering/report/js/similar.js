// More like this one: the images of the whole run that are most like it, to look at and to select, wherever they are.

import { alikeOf } from "report/alike.js";
import { photoOf } from "report/figures.js";
import { focusNear } from "report/focus.js";
import { currentLabels } from "report/history.js";
import { nameOf } from "report/image-names.js";
import { isSelected, select } from "report/selection.js";
import { t } from "report/texts.js";
import { titleOf } from "report/words.js";

const shelf = document.getElementById("similar"), list = shelf.querySelector(".photos");
let shown = null;

export function showSimilar(image) {
  shown = image;
  shelf.hidden = false;
  drawSimilar();
  shelf.scrollIntoView({ block: "nearest" });
  list.querySelector("button")?.focus({ preventScroll: true });
}

// The image itself first, so that what the others are like stays in sight.
export function drawSimilar() {
  if (shelf.hidden) return;
  const labels = currentLabels(), focused = [...list.children].indexOf(document.activeElement);
  shelf.querySelector(".title").textContent = t("more_like", { name: nameOf(shown) });
  list.replaceChildren(...[shown, ...alikeOf(shown)].map((image) => {
    const button = document.createElement("button"), text = document.createElement("span");
    button.type = "button";
    button.dataset.like = image;
    button.title = nameOf(image);
    button.setAttribute("aria-pressed", String(isSelected(image)));
    text.textContent = titleOf(labels, labels.of[image]);
    button.append(photoOf(image), text);
    return button;
  }));
  list.children[focused]?.focus({ preventScroll: true });
}

export function markSimilar() {
  for (const button of list.children) button.setAttribute("aria-pressed", String(isSelected(Number(button.dataset.like))));
}

function close() {
  shelf.hidden = true;
  // Back to where it was asked for.
  focusNear(shown);
}

shelf.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-like]");
  if (button) select([Number(button.dataset.like)], button.getAttribute("aria-pressed") === "false");
  else if ("close" in target.dataset) close();
  else if ("all" in target.dataset) select([shown, ...alikeOf(shown)], true);
});
shelf.addEventListener("keydown", ({ key }) => { if (key === "Escape") close(); });
