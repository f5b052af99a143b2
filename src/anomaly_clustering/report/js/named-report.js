// A copy of this page that opens with all names and decisions, in any browser.

import { saveFile } from "report/download.js";
import { currentDecisions, currentLabels } from "report/history.js";
import { toKeep } from "report/kept-decisions.js";
import { progressOf } from "report/labels.js";
import { say } from "report/message.js";
import { pristine } from "report/pristine.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";

const FILE = "report-named.html";
const RUN = '<script type="application/json" id="run">';

document.getElementById("save-named").addEventListener("click", () => {
  const decisions = currentDecisions(), { labelled } = progressOf(currentLabels(), decisions);
  saveFile(FILE, pageWith({ id: `named ${Date.now()}`, decisions: toKeep(decisions) }), "text/html");
  say(t(run.sheets ? "saved_named_beside" : "saved_named", { file: FILE, n: run.paths.length, labelled }));
});

function pageWith(given) {
  const start = pristine.indexOf(RUN) + RUN.length, end = pristine.slice(start).search(/<\/script>/) + start;
  // As in the page itself, no name may end the script.
  const data = JSON.stringify({ ...run, given }).replaceAll("<", "\\u003c");
  return pristine.slice(0, start) + data + pristine.slice(end);
}
