// Decisions on single images: to move them to a cluster, to mark them as unsure.

import { focusTile, lastFocusedImage } from "report/figures.js";
import { bring, sectionOf, shownIn } from "report/gallery.js";
import { currentLabels, decide } from "report/history.js";
import { UNKNOWN, whereAlike } from "report/labels.js";
import { say } from "report/message.js";
import { unselect } from "report/selection.js";
import { t } from "report/texts.js";
import { titleOf } from "report/words.js";

// Into a cluster, or into a new one where that is null.
export function moveTo(chosen, into) {
  const labels = currentLabels();
  const images = chosen.filter((i) => labels.of[i] !== into);
  if (!images.length) {
    say(t("already_in", { title: titleOf(labels, into) }));
    return;
  }
  const next = staysNearest(images);
  unselect();
  const moved = t("moved", { n: images.length });
  decide({ do: "move", images, into }, (after) => withFollowers(moved, labels, after, images));
  focusOn(next ?? images[0]);
}

// Where the focus goes when images leave a gallery: to the next one that stays.
function staysNearest(images) {
  const focused = lastFocusedImage();
  if (focused === null) return null;
  const all = shownIn(sectionOf(currentLabels().of[focused])), at = Math.max(0, all.indexOf(focused));
  const leaving = new Set(images), stays = (other) => !leaving.has(other);
  return all.slice(at).find(stays) ?? all.slice(0, at).reverse().find(stays) ?? null;
}

function focusOn(image) {
  const figure = bring(image);
  if (figure) focusTile(figure);
}

export function toggleUnsure(images) {
  const { unsure } = currentLabels();
  const value = !images.every((i) => unsure.has(i));
  decide({ do: "unsure", images, value }, () => t(value ? "marked_unsure" : "no_longer_unsure", { n: images.length }));
}

// Later images that were not moved themselves go with the image that they are most like.
function withFollowers(said, before, after, images) {
  const moved = new Set(images);
  const n = after.of.filter((cluster, i) => cluster !== before.of[i] && !moved.has(i)).length;
  return n ? t("and_followers", { said, n }) : said;
}

// Not in the cluster that each of them is in: they go where the images are that are most like them, or, where no such
// cluster is known, to a new one.
export function exclude(chosen) {
  const before = currentLabels();
  const images = chosen.filter((i) => before.of[i] !== UNKNOWN);
  if (!images.length) {
    say(t("in_no_cluster"));
    return;
  }
  const next = staysNearest(images), from = images.map((i) => before.of[i]), into = whereAlike(before, images);
  unselect();
  const became = (after) => whatBecame(before, after, images, into);
  decide({ do: "exclude", images, from, into }, (after) => withFollowers(became(after), before, after, images));
  focusOn(next ?? images[0]);
}

function whatBecame(before, after, images, into) {
  const beside = images.filter((_, k) => into[k] !== null), alone = images.filter((_, k) => into[k] === null);
  const clustersOf = (some) => [...new Set(some.map((i) => before.of[i]))];
  const from = (some) => clustersOf(some).map((cluster) => titleOf(before, cluster)).join(", ");
  const made = alone.length ? titleOf(after, after.of[alone[0]]) : "";
  return [
    beside.length ? t("excluded", { n: beside.length, title: from(beside) }) : "",
    alone.length ? t("excluded_new", { n: alone.length, title: from(alone), made }) : "",
  ].filter(Boolean).join(". ");
}
