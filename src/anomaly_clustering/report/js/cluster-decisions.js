// Decisions on whole clusters, by the tools above their galleries: naming, merging, splitting.

import { clusterOptions } from "report/cluster-options.js";
import { clusterOf, sectionOf } from "report/gallery.js";
import { currentLabels, decide } from "report/history.js";
import { freeNumber, members } from "report/labels.js";
import { partsOf } from "report/tree.js";
import { plural, titleOf } from "report/words.js";

const main = document.querySelector("main");

// Names in use are offered for other clusters too.
export function offerNames() {
  const names = [...new Set(currentLabels().names.values())].sort();
  document.getElementById("names").replaceChildren(...names.map((name) => new Option(name, name)));
}

function nameCluster(cluster, text) {
  const labels = currentLabels();
  if (text === (labels.names.get(cluster) ?? "")) return;
  const before = titleOf(labels, cluster);
  const said = text ? `Named ${before} ${text}` : `${before} has no name any more`;
  decide({ do: "name", cluster, name: text }, said);
}

function mergeClusters(from, into) {
  const labels = currentLabels();
  const { nextElementSibling, previousElementSibling } = sectionOf(from);
  const stays = [nextElementSibling, previousElementSibling].find((other) => other?.matches("[data-cluster]"));
  decide({ do: "merge", from, into }, `Merged ${titleOf(labels, from)} into ${titleOf(labels, into)}`);
  stays.querySelector(".naming").focus({ preventScroll: true });
}

function splitCluster(cluster) {
  const labels = currentLabels();
  const [, part] = partsOf(members(labels, cluster));
  const made = `${plural(part.length, "image")} made Cluster ${freeNumber(labels)}`;
  decide({ do: "split", cluster }, `Split ${titleOf(labels, cluster)}: ${made}`);
}

main.addEventListener("change", ({ target }) => {
  if (target.matches(".naming")) nameCluster(clusterOf(target), target.value.trim());
  if (target.matches(".into")) target.nextElementSibling.disabled = target.value === "";
});
main.addEventListener("keydown", ({ key, target }) => {
  if (key !== "Enter" || !target.matches(".naming")) return;
  target.blur();
  target.focus();
});
// Options are made when a list is opened: many clusters times many options would be slow.
main.addEventListener("focusin", ({ target }) => {
  if (!target.matches(".into") || target.value !== "") return;
  target.replaceChildren(new Option("Merge into …", ""), ...clusterOptions(clusterOf(target)));
});
main.addEventListener("click", ({ target }) => {
  if (target.matches("[data-do='split']")) splitCluster(clusterOf(target));
  if (target.matches("[data-do='merge']")) mergeClusters(clusterOf(target), Number(target.previousElementSibling.value));
});
