// The labels as rows of labels.csv, and such rows as the one decision that takes them over.

import { UNKNOWN } from "report/labels.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";
import { numLeaves } from "report/tree.js";

const COLUMNS = ["path", "cluster", "label", "unsure"];
const LONGEST = 1000;  // Label, as the fields of names on the page allow.
const SHA256 = "sha256:";  // Lest a spreadsheet take digits for a number.
const LARGEST = 999999;  // Number of a cluster, as labels.py has it.
// What spreadsheets make of the column `unsure`, and of numbers, where three zeros may be those of a thousand; labels.py
// has the same.
const UNSURE = new Map([["", "0"], ["false", "0"], ["true", "1"], ["falsch", "0"], ["wahr", "1"]]);
const WHOLE = /^([+-]?[0-9]+)(?:[.,]0{0,2})?$/;

export function tableOf(labels) {
  return run.paths.map((path, i) => ({
    path,
    cluster: labels.of[i],
    label: labels.names.get(labels.of[i]) ?? "",
    unsure: Number(labels.unsure.has(i)),
    not_in: [...(labels.notIn.get(i) ?? [])].sort((a, b) => a - b).join(";"),
    content: contentOf(i),
  }));
}

// Rows may be those of another run on the same images. Those of images that came later may be missing.
export function decisionOf(rows) {
  const missing = COLUMNS.find((name) => !(name in (rows[0]?.row ?? {})));
  if (missing) throw new Error(t("no_column", { name: missing }));
  const imageAt = new Map(run.paths.map((path, i) => [path, i]));
  const imageOf = new Map(run.contents.map((_, k) => [contentOf(numLeaves + k), numLeaves + k]));
  const clusters = Array(run.paths.length).fill(null), labels = clusters.map(() => "");
  const unsure = [], notIn = [];
  rows.forEach(({ line, row }) => {
    // A file may have been moved or overwritten since.
    const image = imageOf.get(row.content) ?? imageAt.get(row.path), path = row.path.slice(0, 100);
    if (image === undefined || isOther(row, image)) throw new Error(t("not_an_image", { line, path }));
    if (clusters[image] !== null) throw new Error(t("listed_twice", { line, path }));
    clusters[image] = whole(row.cluster, "cluster", line, UNKNOWN, LARGEST);
    labels[image] = row.label.trim();
    if (labels[image].length > LONGEST) throw new Error(t("label_too_long", { line, n: labels[image].length, most: LONGEST }));
    if (whole(UNSURE.get(row.unsure.trim().toLowerCase()) ?? row.unsure, "unsure", line, 0, 1)) unsure.push(image);
    const not = (row.not_in ?? "").split(";").filter((part) => part.trim() !== "");
    if (not.length) notIn.push([image, [...new Set(not.map((part) => whole(part, "not_in", line, UNKNOWN, LARGEST)))]]);
  });
  const left = run.paths.slice(0, numLeaves).filter((_, i) => clusters[i] === null);
  if (left.length) throw new Error(t("not_listed", { n: left.length, path: left[0].slice(0, 100) }));
  return { do: "take", names: namesOf(clusters, labels), clusters, unsure, notIn };
}

// Of a later image, by which it is told where its file was moved or overwritten.
function contentOf(image) {
  const digits = run.contents[image - numLeaves];
  return digits ? SHA256 + digits : "";
}

// Whether a row is of what the file of a later image held before, or holds by now.
function isOther({ content }, image) {
  return Boolean(content && contentOf(image) && content !== contentOf(image));
}

function whole(text, field, line, least, most) {
  const number = Number(WHOLE.exec(text.trim())?.[1]);
  if (number >= least && number <= most) return number;
  throw new Error(t("not_whole", { line, field, least, most, value: text.slice(0, 40) }));
}

// Images of one cluster to which a spreadsheet gave several labels: those of the most frequent one keep the number, as
// labels.py has it. Unknown images with a label are a cluster of their own. Numbers in `clusters` are changed. New ones are
// none of a group, or of images that the file does not list, which stay where they are.
function namesOf(clusters, labels) {
  const counts = new Map();
  clusters.forEach((cluster, i) => {
    if (cluster === null) return;
    if (!counts.has(cluster)) counts.set(cluster, new Map());
    counts.get(cluster).set(labels[i], (counts.get(cluster).get(labels[i]) ?? 0) + 1);
  });
  const names = [];
  const taken = run.labels.filter((_, i) => clusters[i] === null);
  const free = freeNumbers(new Set([...counts.keys(), ...run.groups, ...taken]), Math.max(...counts.keys()) + 1);
  for (const [cluster, byLabel] of [...counts].sort(([a], [b]) => a - b)) {
    const often = [...byLabel].sort(([one, a], [other, b]) => b - a || (one < other ? -1 : 1)).map(([label]) => label);
    const [first, ...others] = cluster === UNKNOWN ? ["", ...often.filter((label) => label)] : often;
    if (first) names.push([cluster, first]);
    for (const label of others) {
      const number = free.next().value;
      clusters.forEach((own, i) => { if (own === cluster && labels[i] === label) clusters[i] = number; });
      if (label) names.push([number, label]);
    }
  }
  return names;
}

function* freeNumbers(used, first) {
  for (let number = first; number <= LARGEST; number += 1) if (!used.has(number)) yield number;
  for (let number = 0; number < first; number += 1) if (!used.has(number)) yield number;
}
