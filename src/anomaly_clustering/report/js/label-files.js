// Labels as a file to save, and a file of labels to go on with.

import { saveFile } from "report/download.js";
import { currentLabels, takeOver } from "report/history.js";
import { fromKept } from "report/kept-decisions.js";
import { decisionOf, tableOf } from "report/label-table.js";
import { progressOf } from "report/labels.js";
import { say } from "report/message.js";
import { run } from "report/run.js";
import { csvOf, rowsOf } from "report/table.js";
import { t } from "report/texts.js";

const LABELS = "labels.csv";

function save() {
  const labels = currentLabels(), { images, labelled } = progressOf(labels, []);
  saveFile(LABELS, csvOf(tableOf(labels)), "text/csv");
  say(t("saved_labels", { file: LABELS, n: images, labelled }));
}

// Of a file that was saved by an earlier version, all decisions in their order.
function decisionsOfJson(text) {
  const content = JSON.parse(text);
  if (content?.run !== run.key) throw new Error(t("another_run", { title: String(content?.title).slice(0, 100) }));
  return fromKept(content.decisions, (image) => imageAt(content.images?.[image]?.path));
}

// By its path, since the page that saved the file may have had other images.
function imageAt(path) {
  const image = run.paths.indexOf(path);
  return image < 0 ? null : image;
}

// Letters of another encoding would be replaced in silence.
async function utf8Of(file) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(t("not_utf8"));
  }
}

async function load(file) {
  try {
    const text = await utf8Of(file);
    takeOver(/\.json$/i.test(file.name) ? decisionsOfJson(text) : [decisionOf(rowsOf(text))]);
  } catch (error) {
    say(t("not_loaded", { file: file.name, why: error.message }));
  }
}

document.getElementById("save-csv").addEventListener("click", save);
document.getElementById("load").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) load(file);
});
