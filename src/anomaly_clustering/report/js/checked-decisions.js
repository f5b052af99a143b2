// Decisions from a file, or kept by the browser, in; the same, each with its own fields alone, or what is wrong, out.

import { UNKNOWN, follow, labelsOfTheRun } from "report/labels.js";
import { run } from "report/run.js";
import { numLeaves } from "report/tree.js";

const MOST_SECONDS = 10;  // What takes longer would have to be waited for after each click.
const LONGEST_NAME = 1000;  // As the fields of names on the page allow.

const isWhole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;
// Which later images are unlike those of the run, if any, may change when more come.
const isCluster = (value, labels) => value === UNKNOWN || (isWhole(value, 0, Infinity) && labels.of.includes(value));
const isImages = (value) => (
  Array.isArray(value) && value.length > 0 && new Set(value).size === value.length &&
  value.every((image) => isWhole(image, 0, run.paths.length - 1))
);

// What each field of a decision may be, among the labels as they are before it.
const FIELDS = {
  name: { cluster: isCluster, name: (value) => typeof value === "string" && value.length <= LONGEST_NAME },
  merge: { from: isCluster, into: (value, labels, { from }) => isCluster(value, labels) && value !== from },
  move: { images: isImages, into: (value, labels) => value === null || isCluster(value, labels) },
  split: { cluster: isCluster },
  unsure: { images: isImages, value: (value) => typeof value === "boolean" },
  cut: { k: (value) => isWhole(value, 1, numLeaves) },
};

export function checkedDecisions(list) {
  if (!Array.isArray(list)) throw new Error("it holds no list of decisions");
  const labels = labelsOfTheRun(), until = Date.now() + 1000 * MOST_SECONDS;
  return list.map((decision, i) => {
    if (Date.now() > until) throw new Error(`its ${list.length} decisions take more than ${MOST_SECONDS} seconds`);
    const checked = checkedDecision(decision, labels, `decision ${i + 1}`);
    follow(labels, checked);
    return checked;
  });
}

function checkedDecision(decision, labels, which) {
  if (!Object.hasOwn(FIELDS, decision?.do)) throw new Error(`${which} is none of ${Object.keys(FIELDS).join(", ")}`);
  const checked = { do: decision.do };
  for (const [field, isRight] of Object.entries(FIELDS[decision.do])) {
    const value = decision[field];
    if (!isRight(value, labels, decision)) throw new Error(`${which}, ${decision.do}: ${field} cannot be ${shown(value)}`);
    checked[field] = value;
  }
  return checked;
}

function shown(value) {
  return typeof value === "object" && value !== null ? "what it is" : String(value).slice(0, 40);
}
