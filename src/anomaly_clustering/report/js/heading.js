// The heading of a gallery: what its cluster is called, how large and how pure it is, and which tools can be used.

import { hueOf } from "report/hue.js";
import { members } from "report/labels.js";
import { drawMeanHeat } from "report/mean-heat.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";
import { hasParts } from "report/tree.js";
import { isTypedIn } from "report/typing.js";
import { titleOf } from "report/words.js";

export function describe(section, labels, cluster) {
  const images = members(labels, cluster), title = titleOf(labels, cluster);
  section.classList.toggle("named", labels.names.has(cluster));
  section.querySelector(".title").textContent = title;
  section.querySelector(".size").textContent = t("images", { n: images.length });
  section.querySelector(".swatch").style.setProperty("--hue", hueOf(cluster));
  const naming = section.querySelector(".naming");
  const name = labels.names.get(cluster) ?? "";
  // What is being typed stays.
  if (naming !== document.activeElement || !isTypedIn(naming)) naming.value = name;
  naming.defaultValue = name;
  naming.setAttribute("aria-label", t("name_of", { title }));
  section.querySelector("[data-do='split']").disabled = !hasParts(images);
  describeClasses(section, cluster, images);
  drawMeanHeat(section.querySelector(".mean"), images);
}

// The class of most images of each cluster, and whether an image is of another.
const majority = new Map();

export const differs = (labels, image) => run.target[image] >= 0 && run.target[image] !== majority.get(labels.of[image]);

function describeClasses(section, cluster, images) {
  const counts = run.classNames.map(() => 0);
  for (const i of images) if (run.target[i] >= 0) counts[run.target[i]] += 1;
  const known = counts.reduce((a, b) => a + b, 0);
  const most = counts.indexOf(Math.max(...counts));
  majority.set(cluster, most);
  const purity = { purity: (counts[most] / known).toFixed(3), n: known };
  section.querySelector(".majority").textContent = known ? t("mostly", { name: run.classNames[most] }) : "";
  section.querySelector(".purity").textContent = known ? t(known < images.length ? "purity_among" : "purity_is", purity) : "";
}
