// Decisions on single images: to move them to a cluster, to mark them as unsure.

import { allInGalleryOf, figures, focusTile, imageOf, lastFocusedFigure } from "report/figures.js";
import { currentLabels, decide } from "report/history.js";
import { say } from "report/message.js";
import { unselect } from "report/selection.js";
import { plural, titleOf } from "report/words.js";

// Into a cluster, or into a new one where that is null.
export function moveTo(chosen, into) {
  const labels = currentLabels();
  const images = chosen.filter((i) => labels.of[i] !== into);
  if (!images.length) {
    say(`Already in ${titleOf(labels, into)}`);
    return;
  }
  const focused = lastFocusedFigure();
  const next = focused && staysNearest(focused, images);
  unselect();
  decide({ do: "move", images, into }, `Moved ${plural(images.length, "image")}`);
  focusTile(next ?? figures[images[0]]);
}

// Where the focus goes when images leave a gallery: to the next one that stays.
function staysNearest(figure, leaving) {
  const all = allInGalleryOf(figure), at = all.indexOf(figure);
  const stays = (other) => !leaving.includes(imageOf(other));
  return all.slice(at).find(stays) ?? all.slice(0, at).reverse().find(stays);
}

export function toggleUnsure(images) {
  const { unsure } = currentLabels();
  const value = !images.every((i) => unsure.has(i));
  const said = `${plural(images.length, "image")} ${value ? "marked as" : "no longer"} unsure`;
  decide({ do: "unsure", images, value }, said);
}
