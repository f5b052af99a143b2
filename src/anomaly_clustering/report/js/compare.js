// Two clusters side by side, before one is merged into the other.

import { clusterOptions } from "report/cluster-options.js";
import { photoOf } from "report/figures.js";
import { currentLabels } from "report/history.js";
import { clustersOf, members } from "report/labels.js";
import { typicalOf } from "report/typical.js";
import { siblingsOf } from "report/tree.js";
import { t } from "report/texts.js";
import { fullTitleOf } from "report/words.js";

const MOST = 12;  // Photographs of each.
const dialog = document.getElementById("compare"), chooser = document.getElementById("merge-into");
const panes = [...dialog.querySelectorAll(".side")];
let left = null, merge = null;

// Calls `then` with both clusters if a person agrees.
export function compare(cluster, then) {
  const options = clusterOptions(cluster);
  if (!options.length) return;
  [left, merge] = [cluster, then];
  dialog.dataset.cluster = cluster;
  chooser.replaceChildren(...options);
  chooser.value = siblingOf(cluster) ?? options[0].value;
  showBoth();
  dialog.showModal();
  chooser.focus();
}

// The cluster of most of the images that the dendrogram joins to this one first.
function siblingOf(cluster) {
  const labels = currentLabels(), others = siblingsOf(members(labels, cluster));
  const counts = new Map();
  for (const i of others) counts.set(labels.of[i], (counts.get(labels.of[i]) ?? 0) + 1);
  counts.delete(cluster);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return most && clustersOf(labels).includes(most[0]) ? most[0] : null;
}

function showBoth() {
  const right = Number(chooser.value), labels = currentLabels();
  [left, right].forEach((cluster, k) => {
    const images = members(labels, cluster), heading = document.createElement("h3"), photos = document.createElement("div");
    heading.textContent = `${fullTitleOf(labels, cluster)}, ${t("images", { n: images.length })}`;
    photos.className = "photos";
    photos.append(...typicalOf(images, MOST).map(photoOf));
    panes[k].replaceChildren(heading, photos);
  });
  const name = labels.names.get(right) ?? labels.names.get(left);
  document.getElementById("merge-name").textContent = name ? t("merged_name", { name }) : t("merged_no_name");
}

// The clusters may be others once something was undone, or decided in another window.
export function leaveComparison() {
  if (dialog.open) dialog.close();
}

chooser.addEventListener("change", showBoth);
chooser.addEventListener("keydown", ({ key }) => { if (key === "Enter") agree(); });
document.getElementById("merge").addEventListener("click", agree);
dialog.addEventListener("click", ({ target }) => {
  if (target === dialog || "close" in target.dataset) dialog.close();
});

function agree() {
  const right = Number(chooser.value);
  dialog.close();
  merge(left, right);
}
