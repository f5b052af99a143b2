// The line that stays at the top of the page while sheets with its pictures are no longer beside it.

import { run } from "report/run.js";

const line = document.getElementById("missing-sheets");

const isOfSheet = (element) => element.matches?.(".cell .photo:not(.whole), .cell .heat");
const isMissing = (photo) => photo.complete && photo.naturalWidth === 0;

// A file that came with the page may have failed before this script ran.
if (run.sheets) {
  line.hidden = ![...document.querySelectorAll("figure[data-index]:not([hidden]) .cell .photo")].some(isMissing);
  addEventListener("error", ({ target }) => { if (isOfSheet(target)) line.hidden = false; }, { capture: true });
}
