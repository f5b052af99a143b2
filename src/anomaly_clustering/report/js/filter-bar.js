// The fields that search and filter: what is chosen in them decides which images are shown, and in which order.

import { clusterOptions } from "report/cluster-options.js";
import { isFiltered, plainOf, scoreOf, wanted } from "report/filter.js";
import { showAll, sortAll } from "report/gallery.js";
import { offerColumns, valuesAsked } from "report/metadata-filter.js";
import { run } from "report/run.js";
import { showSelectionBar } from "report/selection-bar.js";
import { t } from "report/texts.js";
import { takesLetters } from "report/typing.js";

const bar = document.getElementById("find"), toggle = document.getElementById("find-toggle");
const field = (name) => document.getElementById(`find-${name}`);
const said = field("count"), clusters = field("cluster"), scores = run.paths.map((_, i) => scoreOf(i));
const WIDE = 900;  // Pixels of a window that has room for another line of tools.

if (!scores.some((score) => score !== null)) {
  for (const element of document.querySelectorAll(".for-scores")) element.remove();
}
open(document.documentElement.clientWidth >= WIDE);

function open(isOpen) {
  bar.hidden = !isOpen;
  toggle.setAttribute("aria-expanded", String(isOpen));
}

export function showFilter() {
  offerColumns();
  const before = clusters.value;
  clusters.replaceChildren(new Option(t("all_clusters"), ""), ...clusterOptions(null));
  clusters.value = before;
  if (clusters.value !== before) {
    clusters.value = wanted.cluster = "";
    showAll();
  }
  tell(isFiltered() ? showAll() : null);
}

function tell(count) {
  said.textContent = count === null ? "" : t("found", { n: count, all: run.paths.length });
  field("clear").hidden = count === null;
  showSelectionBar();
}

function numberIn(name) {
  const text = field(name)?.value.trim() ?? "";
  return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
}

function ask() {
  wanted.text = plainOf(field("text").value.trim());
  for (const name of ["cluster", "names", "unsure"]) wanted[name] = field(name).value;
  wanted.least = numberIn("least");
  wanted.most = numberIn("most");
  Object.assign(wanted, valuesAsked());
  const count = showAll();
  tell(isFiltered() ? count : null);
}

function clear() {
  for (const element of bar.querySelectorAll("input, select")) {
    if (element !== field("sort") && element !== field("column")) element.value = "";
  }
  ask();
  field("text").focus();
}

bar.addEventListener("input", ({ target }) => { if (target !== field("sort")) ask(); });
field("sort").addEventListener("change", ({ target }) => {
  wanted.sort = target.value;
  sortAll();
});
field("clear").addEventListener("click", clear);
toggle.addEventListener("click", () => open(bar.hidden));
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey) return;
  if (takesLetters(event.target) || event.target.closest("dialog")) return;
  event.preventDefault();
  open(true);
  field("text").focus();
});
