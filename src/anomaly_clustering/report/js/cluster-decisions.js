// Decisions on whole clusters, by the tools beside their galleries: naming, splitting, merging, and seeing all of one.

import { compare } from "report/compare.js";
import { clusterOf, sectionOf, toggleOpen } from "report/gallery.js";
import { currentLabels, decide } from "report/history.js";
import { UNKNOWN, members } from "report/labels.js";
import { t } from "report/texts.js";
import { smallerBranch } from "report/tree.js";
import { takesLetters } from "report/typing.js";
import { titleOf } from "report/words.js";

const main = document.querySelector("main");

// Names in use are offered for other clusters too.
export function offerNames() {
  const names = [...new Set(currentLabels().names.values())].sort();
  document.getElementById("names").replaceChildren(...names.map((name) => new Option(name, name)));
}

function nameCluster(cluster, text) {
  const labels = currentLabels();
  if (text === (labels.names.get(cluster) ?? "")) return;
  const title = titleOf(labels, cluster);
  decide({ do: "name", cluster, name: text }, () => (
    text ? t("named", { title, name: text }) : t("unnamed", { title })
  ));
}

// The next field that waits for a name, after a section or from the top of the page; after the last one, the first.
function toNextName(section = null) {
  const fields = [...main.querySelectorAll("section[data-cluster]:not([hidden]) .naming")];
  const after = section ? fields.findIndex((field) => field.closest("section") === section) + 1 : 0;
  const next = [...fields.slice(after), ...fields.slice(0, after)].find((field) => field.value.trim() === "");
  if (!next) return;
  next.focus({ preventScroll: true });
  next.closest("section").scrollIntoView({ block: "nearest" });
}

function mergeClusters(from, into) {
  const labels = currentLabels();
  const values = { from: titleOf(labels, from), into: titleOf(labels, into) };
  // Which images are unknown changes when more come; those are meant that are so now. A name goes with all of them.
  const isOfNow = from === UNKNOWN && !labels.names.has(from), images = isOfNow ? members(labels, from) : [];
  decide(isOfNow ? { do: "move", images, into } : { do: "merge", from, into }, () => t("merged", values));
  sectionOf(into)?.querySelector(".naming").focus({ preventScroll: true });
}

function splitCluster(cluster) {
  const labels = currentLabels(), title = titleOf(labels, cluster), images = members(labels, cluster);
  decide({ do: "split", cluster, branch: smallerBranch(images) }, (after) => {
    const part = images.filter((i) => after.of[i] !== cluster);
    return t("split_into", { title, n: part.length, number: after.of[part[0]] });
  });
}

main.addEventListener("change", ({ target }) => {
  if (target.matches(".naming")) nameCluster(clusterOf(target), target.value.trim());
});
main.addEventListener("keydown", ({ key, isComposing, target }) => {
  // Where letters are composed, Enter ends a word, not the name.
  if (key !== "Enter" || isComposing || !target.matches(".naming")) return;
  nameCluster(clusterOf(target), target.value.trim());
  toNextName(target.closest("section"));
});
main.addEventListener("click", ({ target }) => {
  if (target.matches("[data-do='open']")) toggleOpen(target.closest("section"));
  if (target.matches("[data-do='split']")) splitCluster(clusterOf(target));
  if (target.matches("[data-do='merge']")) compare(clusterOf(target), mergeClusters);
});
document.getElementById("begin").addEventListener("click", () => toNextName());
document.addEventListener("keydown", (event) => {
  if (event.key !== "n" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (takesLetters(event.target) || event.target.closest("dialog, figure")) return;
  event.preventDefault();  // The field would get the letter.
  toNextName();
});
