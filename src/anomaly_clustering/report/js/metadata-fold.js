// The table of how often each named defect is found by batch, by day, or by whatever else is known of the images.

import { countsBy } from "report/counts.js";
import { currentLabels } from "report/history.js";
import { columns } from "report/metadata.js";
import { onLanguage, t } from "report/texts.js";

const MOST_ROWS = 60, MOST_NAMES = 20;
const fold = document.getElementById("fold-metadata"), chooser = document.getElementById("count-by");
const place = document.getElementById("counts");

export function drawCounts() {
  if (!fold?.open) return;
  const { names, rows } = countsBy(columns[chooser.value], currentLabels());
  const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  // What has no name comes last, however many names there are.
  const rare = names.filter((name) => name !== null).slice(MOST_NAMES), isRare = new Set(rare);
  const shown = names.filter((name) => !isRare.has(name)), last = rows.slice(-MOST_ROWS);
  for (const text of [chooser.selectedOptions[0].text, ...shown.map((name) => name ?? t("not_named")), t("total")]) {
    head.append(cell("th", text));
  }
  for (const [value, counts] of last) {
    const total = [...counts.values()].reduce((a, b) => a + b, 0), row = body.insertRow();
    row.append(cell("th", value || t("not_told")), ...shown.map((name) => share(counts.get(name) ?? 0, total)), cell("td", total));
    row.firstChild.scope = "row";
  }
  const left = rows.length - last.length;
  const said = [...(left ? [t("rows_left", { n: left })] : []), ...(rare.length ? [t("names_left", { n: rare.length })] : [])];
  place.replaceChildren(table, ...said.map((text) => cell("p", text)));
}

// The more of the images of a row, the stronger its colour.
function share(count, total) {
  const made = cell("td", count);
  made.className = count ? "some" : "zero";
  made.style.setProperty("--share", (count / total).toFixed(3));
  return made;
}

function cell(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function offer() {
  const before = chooser.value || "0";
  chooser.replaceChildren(...columns.map(({ name }, c) => new Option(name === "time" ? t("day") : name, c)));
  chooser.value = before;
}

if (fold) {
  offer();
  onLanguage(offer);
  fold.addEventListener("toggle", drawCounts);
  chooser.addEventListener("change", drawCounts);
}
