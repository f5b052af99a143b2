// Labels as files to save, and a file of labels to go on with.

import { currentDecisions, currentLabels, takeOver } from "report/history.js";
import { progressOf } from "report/labels.js";
import { say } from "report/message.js";
import { run } from "report/run.js";
import { csvOf } from "report/table.js";

function rowsToExport() {
  const labels = currentLabels();
  return run.paths.map((path, i) => ({
    path,
    cluster: labels.of[i],
    label: labels.names.get(labels.of[i]) ?? "",
    unsure: Number(labels.unsure.has(i)),
  }));
}

function jsonOf(rows) {
  const decisions = currentDecisions(), progress = progressOf(currentLabels(), decisions);
  const content = { run: run.key, title: run.title, progress, images: rows, decisions };
  return `${JSON.stringify(content, null, 1)}\n`;
}

function save(name, text, type) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`Saved ${name}`);
}

async function load(file) {
  try {
    if (file.name.endsWith(".csv")) throw new Error("labels.csv is for export; what goes on is labels.json");
    const content = JSON.parse(await file.text());
    if (content?.run !== run.key) throw new Error(`it belongs to another run, ${String(content?.title).slice(0, 100)}`);
    takeOver(content.decisions);
  } catch (error) {
    say(`${file.name} was not loaded: ${error.message}`);
  }
}

document.getElementById("save-csv").addEventListener("click", () => {
  save("labels.csv", csvOf(rowsToExport()), "text/csv");
});
document.getElementById("save-json").addEventListener("click", () => {
  save("labels.json", jsonOf(rowsToExport()), "application/json");
});
document.getElementById("load").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) load(file);
});
