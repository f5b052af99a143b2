// Galleries follow the labels: one section a cluster, a strip of its most typical images until all are asked for.

import { figures, imagesIn, tileOf } from "report/figures.js";
import { inOrder, isWanted } from "report/filter.js";
import { describe } from "report/heading.js";
import { currentLabels } from "report/history.js";
import { clustersOf, members } from "report/labels.js";
import { followScrolling } from "report/navigation.js";
import { run } from "report/run.js";
import { t, translate } from "report/texts.js";

const sections = new Map();
for (const section of document.querySelectorAll("section[data-cluster]")) {
  sections.set(Number(section.dataset.cluster), section);
  followScrolling(section);
}
const pattern = [...sections.values()][0].cloneNode(true);
pattern.querySelector(".gallery").replaceChildren();

// Of a gallery, of anything in it, and of a link of the navigation.
export const clusterOf = (element) => Number(element.closest("[data-cluster]").dataset.cluster);
export const sectionOf = (cluster) => sections.get(cluster);
export const isOpen = (section) => section.classList.contains("open");

export function arrange(decision) {
  const labels = currentLabels(), clusters = clustersOf(labels);
  for (const [cluster, section] of sections) {
    if (clusters.includes(cluster)) continue;
    section.remove();
    sections.delete(cluster);
  }
  const isAnew = ["cut", "take"].includes(decision.do);
  let last = document.getElementById("before-clusters");
  for (const cluster of clusters) {
    if (!sections.has(cluster)) sections.set(cluster, newSection(cluster));
    const section = sections.get(cluster);
    // Clusters stay where the eye expects them until all are made anew.
    const before = decision.do === "split" ? sections.get(decision.cluster) : last;
    if (isAnew || !section.isConnected) before.after(section);
    last = section;
    fill(section, members(labels, cluster));
    describe(section, labels, cluster);
  }
}

function newSection(cluster) {
  const section = pattern.cloneNode(true);
  section.dataset.cluster = cluster;
  section.id = `cluster-${cluster}`;
  section.setAttribute("aria-labelledby", `heading-${cluster}`);
  section.querySelector("h2").id = `heading-${cluster}`;
  translate(section);
  followScrolling(section);
  return section;
}

function fill(section, images) {
  const { unsure } = currentLabels(), gallery = section.querySelector(".gallery");
  const sorted = inOrder(images), present = imagesIn(gallery);
  if (sorted.length !== present.length || sorted.some((image, k) => image !== present[k])) {
    gallery.replaceChildren(...sorted.map((i) => figures[i]));
  }
  for (const i of sorted) figures[i].toggleAttribute("data-unsure", unsure.has(i));
  show(section, sorted);
}

// Those of its images that are asked for: all of them, or as many as a strip holds.
function show(section, images = imagesIn(section.querySelector(".gallery"))) {
  const labels = currentLabels(), asked = images.filter((i) => isWanted(i, labels));
  const shown = new Set(isOpen(section) ? asked : asked.slice(0, run.inStrip));
  for (const i of images) {
    const isHidden = !shown.has(i), tile = tileOf(figures[i]), stop = i === asked[0] ? 0 : -1;
    if (figures[i].hidden !== isHidden) figures[i].hidden = isHidden;
    // One stop of the Tab key a gallery; arrow keys do the rest.
    if (tile.tabIndex !== stop) tile.tabIndex = stop;
  }
  section.hidden = !asked.length;
  const button = section.querySelector("[data-do='open']");
  button.hidden = asked.length <= run.inStrip;
  button.textContent = isOpen(section) ? t("show_fewer") : t("show_all", { n: asked.length });
  button.setAttribute("aria-expanded", String(isOpen(section)));
  const left = images.length - run.onPaper;
  section.querySelector(".more").textContent = left > 0 ? t("more", { n: left }) : "";
  return asked.length;
}

export function showAll() {
  let count = 0;
  for (const section of sections.values()) count += show(section);
  return count;
}

export function toggleOpen(section) {
  section.classList.toggle("open");
  show(section);
}

// In another order.
export function sortAll() {
  const labels = currentLabels();
  for (const [cluster, section] of sections) fill(section, members(labels, cluster));
}
