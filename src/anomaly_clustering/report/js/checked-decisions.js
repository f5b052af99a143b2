// Decisions from a file, or kept by the browser, in; the same, each with its own fields alone, or what is wrong, out.

import { numNamed } from "report/kept-decisions.js";
import { UNKNOWN, follow, labelsOfTheRun } from "report/labels.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";
import { ROOT, numLeaves } from "report/tree.js";

const MOST_SECONDS = 10;  // A file that takes longer would have to be waited for whenever the page opens.
const LONGEST_NAME = 1000;  // As the fields of names on the page allow.
const LARGEST = 999999;  // Number of a cluster, as labels.py has it.

const isWhole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;
const isNumber = (value) => isWhole(value, UNKNOWN, LARGEST);
// Which later images are unlike those of the run, if any, may change when more come. What this browser kept may be of
// clusters whose images are on another page; there are no labels to be asked then.
const isCluster = (value, labels) => isNumber(value) && (
  value === UNKNOWN || !labels || labels.of.includes(value) || run.groups.includes(value)
);
// On this page, or told by a decision that was made on another one.
const isImage = (value) => isWhole(value, 0, numNamed() - 1);
const isSet = (value, isRight) => Array.isArray(value) && new Set(value).size === value.length && value.every(isRight);
const isPlace = (value, labels) => value === null || isCluster(value, labels);  // Null is a new cluster.
const isForEach = (images, value, isRight) => (
  Array.isArray(value) && value.length === images.length && value.every(isRight)
);
const isImages = (value) => isSet(value, isImage) && value.length > 0;
const isName = (value) => typeof value === "string" && value.length <= LONGEST_NAME;
// Pairs, each with another first entry.
const isMap = (value, isFirst, isSecond) => (
  Array.isArray(value) && value.every((pair) => Array.isArray(pair) && pair.length === 2 && isSecond(pair[1])) &&
  isSet(value.map(([first]) => first), isFirst)
);

// What each field of a decision may be, among the labels as they are before it.
const FIELDS = {
  name: { cluster: isCluster, name: isName },
  merge: { from: isCluster, into: (value, labels, { from }) => isCluster(value, labels) && value !== from },
  move: { images: isImages, into: isPlace },
  split: { cluster: isCluster, branch: (value) => value === undefined || isWhole(value, 0, ROOT - 1) },
  unsure: { images: isImages, value: (value) => typeof value === "boolean" },
  exclude: {
    images: isImages,
    from: (value, labels, { images }) => value === undefined || isForEach(images, value, isNumber),
    into: (value, labels, { images }) => (
      value === undefined || isForEach(images, value, (one) => isPlace(one, labels))
    ),
  },
  take: {
    // Images that came later are not listed in an earlier file.
    clusters: (value) => (
      Array.isArray(value) && isWhole(value.length, numLeaves, numNamed()) &&
      value.every((cluster, i) => isNumber(cluster) || (cluster === null && i >= numLeaves))
    ),
    names: (value) => isMap(value, isNumber, (name) => isName(name) && name !== ""),
    unsure: (value) => isSet(value, isImage),
    notIn: (value) => isMap(value, isImage, (clusters) => isSet(clusters, isNumber)),
  },
  cut: { k: (value) => isWhole(value, 1, numLeaves) },
};

export function checkedDecisions(list) {
  const { decisions, error } = rightOnes(list);
  if (error) throw error;
  return decisions;
}

// Of what this browser kept, which may be of images and clusters that are on another page of the run.
export function checkedKept(list) {
  const { decisions, error } = rightOnes(list, { areKept: true });
  if (error) throw error;
  return decisions;
}

// Those before the first that is wrong, and what is wrong with it; null where all are right.
export function rightOnes(list, { areKept = false } = {}) {
  const labels = areKept ? null : labelsOfTheRun(), until = Date.now() + 1000 * MOST_SECONDS, decisions = [];
  try {
    if (!Array.isArray(list)) throw new Error(t("no_decisions"));
    for (const decision of list) {
      if (labels && Date.now() > until) throw new Error(t("too_long", { n: list.length, seconds: MOST_SECONDS }));
      const checked = checkedDecision(decision, labels, decisions.length + 1);
      if (labels) follow(labels, checked);
      decisions.push(checked);
    }
  } catch (error) {
    return { decisions, error };
  }
  return { decisions, error: null };
}

// Labels are those before the decision, or null where any cluster may be meant; its number is told where it is wrong.
export function checkedDecision(decision, labels, number) {
  if (!Object.hasOwn(FIELDS, decision?.do)) {
    throw new Error(t("wrong_decision", { number, allowed: Object.keys(FIELDS).join(", ") }));
  }
  const checked = { do: decision.do };
  for (const [field, isRight] of Object.entries(FIELDS[decision.do])) {
    const value = decision[field];
    if (!isRight(value, labels, decision)) {
      throw new Error(t("wrong_field", { number, decision: decision.do, field, value: shown(value) }));
    }
    checked[field] = value;
  }
  return checked;
}

function shown(value) {
  return typeof value === "object" && value !== null ? t("what_it_is") : String(value).slice(0, 40);
}
