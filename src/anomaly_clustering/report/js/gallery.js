// Galleries follow the labels: one section a cluster, its most typical images and its edge until all are asked for.

import { figureOf, figureThere, forgetAway, imageOf, tileOf } from "report/figures.js";
import { inOrder, isWanted, wanted } from "report/filter.js";
import { describe, differs } from "report/heading.js";
import { currentLabels } from "report/history.js";
import { clustersOf, members } from "report/labels.js";
import { followScrolling } from "report/navigation.js";
import { bringRow, closeRows, needsRows, openRows } from "report/rows.js";
import { run } from "report/run.js";
import { isSelected } from "report/selection.js";
import { t, translate } from "report/texts.js";

const STRIP = run.inStrip + run.atEdge;
const sections = new Map();
for (const section of document.querySelectorAll("section[data-cluster]")) {
  sections.set(Number(section.dataset.cluster), section);
  followScrolling(section);
}
const pattern = [...sections.values()][0].cloneNode(true);
pattern.querySelector(".gallery").replaceChildren();

// Of each section all its images in their order, and those that are shown now.
const images = new WeakMap(), shown = new WeakMap();

// Of a gallery, of anything in it, and of a link of the navigation.
export const clusterOf = (element) => Number(element.closest("[data-cluster]").dataset.cluster);
export const sectionOf = (cluster) => sections.get(cluster);
export const isOpen = (section) => section.classList.contains("open");
export const imagesOf = (section) => images.get(section);
export const shownIn = (section) => (section.hidden ? [] : shown.get(section));
export const sectionsInOrder = () => [...document.querySelectorAll("section[data-cluster]")];

export function arrange(decision) {
  const labels = currentLabels(), clusters = new Set(clustersOf(labels));
  for (const [cluster, section] of sections) {
    if (clusters.has(cluster)) continue;
    closeRows(section.querySelector(".gallery"));
    section.remove();
    sections.delete(cluster);
  }
  const isAnew = ["cut", "take"].includes(decision.do);
  let last = document.getElementById("before-clusters");
  for (const cluster of clusters) {
    if (!sections.has(cluster)) sections.set(cluster, newSection(cluster));
    const section = sections.get(cluster);
    // Clusters stay where the eye expects them until all are made anew.
    // All images of the page may be in the part that leaves.
    const split = decision.do === "split" ? sections.get(decision.cluster) : null;
    const before = split?.isConnected ? split : last;
    // One that stands right is not moved, which would take the focus and what is being typed from it.
    if ((isAnew && before.nextElementSibling !== section) || !section.isConnected) before.after(section);
    last = section;
    describe(section, labels, cluster);
    fill(section, members(labels, cluster));
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

function fill(section, unordered) {
  images.set(section, inOrder(unordered));
  show(section);
}

// Those of its images that are asked for: all of them, or as many as a strip holds.
function show(section) {
  const labels = currentLabels(), all = images.get(section), asked = all.filter((i) => isWanted(i, labels));
  const gallery = section.querySelector(".gallery"), seen = isOpen(section) ? asked : stripOf(asked);
  shown.set(section, seen);
  section.hidden = !asked.length;
  const edge = seen.length < asked.length && !wanted.sort ? seen[run.inStrip] : null;
  const place = (present) => put(gallery, present, { seen: new Set(seen), stop: seen[0], edge });
  if (isOpen(section) && needsRows(seen)) openRows(gallery, seen, place);
  else {
    closeRows(gallery);
    // A page that came with all figures keeps them.
    const kept = run.sheets ? all.slice(0, run.onPaper) : all, isKept = new Set(kept);
    place([...kept, ...seen.filter((i) => !isKept.has(i))]);
  }
  const button = section.querySelector("[data-do='open']");
  button.hidden = asked.length <= STRIP;
  button.textContent = isOpen(section) ? t("show_fewer") : t("show_all", { n: asked.length });
  button.setAttribute("aria-expanded", String(isOpen(section)));
  const left = all.length - run.onPaper;
  section.querySelector(".more").textContent = left > 0 ? t("more", { n: left }) : "";
  return asked.length;
}

// In the order by centre the most typical ones and the edge; in any other those that come first.
function stripOf(asked) {
  if (asked.length <= STRIP || wanted.sort) return asked.slice(0, STRIP);
  return [...asked.slice(0, run.inStrip), ...asked.slice(-run.atEdge)];
}

function put(gallery, present, { seen, stop, edge }) {
  const before = [...gallery.children], held = document.activeElement.closest("figure");
  // What has the focus keeps it when it is scrolled out of sight.
  if (held?.parentElement === gallery && seen.has(imageOf(held)) && !present.includes(imageOf(held))) {
    present.push(imageOf(held));
    held.classList.add("held");
  } else held?.classList.remove("held");
  if (present.length !== before.length || present.some((image, k) => image !== imageOf(before[k]))) {
    replace(gallery, present.map(figureOf));
    forgetAway(before);
  }
  const labels = currentLabels();
  for (const i of present) {
    const figure = figureOf(i), tile = tileOf(figure), isHidden = !seen.has(i), tab = i === stop ? 0 : -1;
    if (figure.hidden !== isHidden) figure.hidden = isHidden;
    // One stop of the Tab key a gallery; arrow keys do the rest.
    if (tile.tabIndex !== tab) tile.tabIndex = tab;
    figure.toggleAttribute("data-unsure", labels.unsure.has(i));
    figure.toggleAttribute("data-differs", differs(labels, i));
    figure.toggleAttribute("data-edge", i === edge);
    figure.classList.toggle("selected", isSelected(i));
    figure.querySelector(".pick").checked = isSelected(i);
  }
}

// Figures that stay are not taken out, which would take the focus from them.
function replace(gallery, figures) {
  const stay = new Set(figures);
  for (const figure of [...gallery.children]) if (!stay.has(figure)) figure.remove();
  let next = gallery.firstElementChild;
  for (const figure of figures) {
    if (figure === next) next = next.nextElementSibling;
    else gallery.insertBefore(figure, next);
  }
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

// The figure of an image, brought onto the page where its gallery shows it; else null.
export function bring(image) {
  const section = sections.get(currentLabels().of[image]), at = shownIn(section).indexOf(image);
  if (at < 0) return null;
  bringRow(section.querySelector(".gallery"), at);
  return figureThere(image) ?? null;
}

// The image itself where it is shown, else the next one of its gallery, the one before, or one of another; or null.
export function nearestShown(image) {
  const order = sectionsInOrder(), own = sections.get(currentLabels().of[image]), at = order.indexOf(own);
  const others = [...order.slice(at + 1), ...order.slice(0, at).reverse()];
  return (own && nearestIn(own, image)) ?? others.flatMap(shownIn)[0] ?? null;
}

function nearestIn(section, image) {
  const all = images.get(section), at = all.indexOf(image), seen = new Set(shownIn(section));
  return [...all.slice(at), ...all.slice(0, at).reverse()].find((other) => seen.has(other));
}

// On paper all galleries are as long as a page.
export function showForPaper(isPaper) {
  const open = [...sections.values()].filter(isOpen);
  for (const section of open) {
    const gallery = section.querySelector(".gallery");
    if (!isPaper) show(section);
    else if (needsRows(shown.get(section))) {
      closeRows(gallery);
      const first = images.get(section).slice(0, run.onPaper);
      put(gallery, first, { seen: new Set(first), stop: first[0], edge: null });
    }
  }
}
