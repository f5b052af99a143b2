// The summary: a table of the named defects with three photographs each, to look at, to print and to paste elsewhere.

import { photoOf } from "report/figures.js";
import { currentLabels } from "report/history.js";
import { say } from "report/message.js";
import { paretoOf } from "report/pareto.js";
import { run } from "report/run.js";
import { withoutFormulas } from "report/table.js";
import { t } from "report/texts.js";

const fold = document.getElementById("summary"), place = document.getElementById("pareto");
const PHOTO_WIDTH = 96;  // Pixels, where the table is pasted and no style of this page holds.

export function drawSummary() {
  if (!fold.open) return;
  const found = paretoOf(currentLabels());
  place.replaceChildren(...(found.defects.length || found.good.length ? [tableOf(found)] : [cell("p", t("nothing_named"))]));
  document.getElementById("copy-summary").disabled = !found.defects.length && !found.good.length;
}

function tableOf({ defects, good, total, sound, unlabelled }) {
  const table = document.createElement("table");
  table.className = "pareto";
  table.createCaption().textContent = [
    run.title,
    t("defects_in", { n: total }),
    ...(sound ? [t("sound_and_named", { n: sound })] : []),
    ...(unlabelled ? [t("unlabelled", { n: unlabelled })] : []),
  ].join(" · ");
  const head = table.createTHead().insertRow();
  for (const name of ["defect", "count", "share", "up_to", "photographs"]) head.append(cell("th", t(name)));
  const body = table.createTBody();
  for (const { name, count, share, upTo, photos } of defects) body.append(row(name, count, share, upTo, photos));
  for (const { name, count, photos } of good) body.append(row(t("free_of_defects", { name }), count, null, null, photos));
  return table;
}

function row(name, count, share, upTo, images) {
  const made = document.createElement("tr"), title = cell("th", name), photos = document.createElement("td");
  title.scope = "row";
  photos.className = "photos";
  photos.append(...images.map((image) => Object.assign(photoOf(image), { width: PHOTO_WIDTH })));
  const bar = cell("td", percent(share));
  bar.className = "bar-cell";
  bar.style.setProperty("--share", share ?? 0);
  made.append(title, cell("td", String(count)), bar, cell("td", percent(upTo)), photos);
  return made;
}

const percent = (share) => (share === null ? "" : `${(100 * share).toFixed(1)} %`);

function cell(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

// As a table for messages that take one, and as lines with tabs for those that do not.
function copy() {
  const table = place.querySelector("table");
  const lines = [table.caption.textContent, ...[...table.rows].map((own) => (
    [...own.cells].slice(0, 4).map((one) => withoutFormulas(one.textContent)).join("\t")
  ))];
  const pasted = table.cloneNode(true);
  for (const title of pasted.querySelectorAll("tbody th")) title.textContent = withoutFormulas(title.textContent);
  // Sheets of photographs stay here.
  for (const photo of pasted.querySelectorAll(".photograph")) photo.remove();
  const put = (event) => {
    event.clipboardData.setData("text/html", pasted.outerHTML);
    event.clipboardData.setData("text/plain", `${lines.join("\n")}\n`);
    event.preventDefault();
  };
  document.addEventListener("copy", put, { once: true });
  const done = document.execCommand("copy");
  document.removeEventListener("copy", put);
  say(t(done ? "copied" : "not_copied"));
}

document.getElementById("copy-summary").addEventListener("click", copy);
fold.addEventListener("toggle", drawSummary);
