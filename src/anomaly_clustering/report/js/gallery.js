// Galleries follow the labels: one section a cluster, made and taken away as clusters come and go.

import { figures, imagesIn } from "report/figures.js";
import { describe } from "report/heading.js";
import { currentLabels } from "report/history.js";
import { clustersOf, members } from "report/labels.js";
import { followScrolling } from "report/navigation.js";

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

export function arrange(decision) {
  const labels = currentLabels(), clusters = clustersOf(labels);
  for (const [cluster, section] of sections) {
    if (clusters.includes(cluster)) continue;
    section.remove();
    sections.delete(cluster);
  }
  const inOrder = decision.do === "cut";
  let last = document.getElementById("before-clusters");
  for (const cluster of clusters) {
    if (!sections.has(cluster)) sections.set(cluster, newSection(cluster));
    const section = sections.get(cluster);
    // Clusters stay where the eye expects them until all are made anew.
    const before = decision.do === "split" ? sections.get(decision.cluster) : last;
    if (inOrder || !section.isConnected) before.after(section);
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
  followScrolling(section);
  return section;
}

function fill(section, images) {
  const { unsure } = currentLabels();
  const gallery = section.querySelector(".gallery");
  const distance = (i) => Number(figures[i].dataset.distance);
  const wanted = images.sort((a, b) => distance(a) - distance(b) || a - b);
  const present = imagesIn(gallery);
  if (wanted.length !== present.length || wanted.some((image, k) => image !== present[k])) {
    gallery.replaceChildren(...wanted.map((i) => figures[i]));
  }
  for (const i of wanted) {
    figures[i].toggleAttribute("data-unsure", unsure.has(i));
    figures[i].querySelector(".tile").tabIndex = -1;
  }
  // One stop of the Tab key a gallery; arrow keys do the rest.
  figures[wanted[0]].querySelector(".tile").tabIndex = 0;
}
