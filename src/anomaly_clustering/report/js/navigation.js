// The links to all clusters at the top of the page, and which of them is in sight.

import { currentLabels } from "report/history.js";
import { clustersOf, members } from "report/labels.js";
import { t } from "report/texts.js";
import { shortTitleOf, titleOf } from "report/words.js";

const list = document.querySelector("nav ul");
const sighted = new Set();

export function showNavigation() {
  const labels = currentLabels(), clusters = clustersOf(labels);
  const sizes = clusters.map((cluster) => members(labels, cluster).length);
  const largest = Math.max(...sizes);
  list.replaceChildren(...clusters.map((cluster, k) => {
    const item = document.createElement("li"), link = document.createElement("a"), title = document.createElement("b");
    link.href = `#cluster-${cluster}`;
    link.dataset.cluster = cluster;
    link.setAttribute("aria-current", String([...sighted].some((section) => section.id === link.hash.slice(1))));
    link.setAttribute("aria-label", `${titleOf(labels, cluster)}, ${t("images", { n: sizes[k] })}`);
    link.style.setProperty("--share", (sizes[k] / largest).toFixed(3));
    link.classList.toggle("named", labels.names.has(cluster));
    title.textContent = shortTitleOf(labels, cluster);
    link.append(title, ` ${sizes[k]}`);
    item.append(link);
    return item;
  }));
}

// A section is in sight when it lies across a line at a quarter of the window's height.
const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) sighted.add(target);
    else sighted.delete(target);
    const link = list.querySelector(`a[href="#${target.id}"]`);
    if (!link) continue;
    link.setAttribute("aria-current", String(isIntersecting));
    if (isIntersecting) list.parentElement.scrollLeft = link.offsetLeft - list.offsetLeft - 60;
  }
}, { rootMargin: "-25% 0px -74% 0px" });

export function followScrolling(section) {
  inSight.observe(section);
}
