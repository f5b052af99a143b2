// Decisions as they are made: kept over a reload, undone and made again. The labels follow from them anew each time.

import { checkedDecisions } from "report/checked-decisions.js";
import { labelsAfter } from "report/labels.js";
import { say } from "report/message.js";
import { run } from "report/run.js";

const STORE = `anomaly-clustering ${run.key}`;
const listeners = [];
let decisions = remembered();
let undone = [];
let labels = labelsAfter(decisions);

export const currentDecisions = () => decisions;
export const currentLabels = () => labels;
export const canUndo = () => decisions.length > 0;
export const canRedo = () => undone.length > 0;

// The listener gets the decision that was made or undone.
export function onChange(listener) {
  listeners.push(listener);
}

export function decide(decision, said) {
  decisions.push(decision);
  undone = [];
  changed(said, decision);
}

export function undo() {
  if (!canUndo()) return;
  const decision = decisions.pop();
  undone.push(decision);
  changed("Undone", decision);
}

export function redo() {
  if (!canRedo()) return;
  const decision = undone.pop();
  decisions.push(decision);
  changed("Done again", decision);
}

// All of a list, or, where anything in it is wrong, nothing.
export function takeOver(list) {
  decisions = checkedDecisions(list);
  undone = [];
  changed("Labels loaded", { do: "cut" });
}

function remembered() {
  let kept = null;
  try {
    kept = localStorage.getItem(STORE);
    return checkedDecisions(JSON.parse(kept ?? "[]"));
  } catch (error) {
    if (kept !== null) setAside(kept, error);
    return [];
  }
}

// The next decision would take its place.
function setAside(kept, error) {
  try {
    localStorage.setItem(`${STORE} set aside`, kept);
    say(`What this browser kept is set aside: ${error.message}`);
  } catch {
    say(`What this browser kept is lost with the next decision: ${error.message}`);
  }
}

function changed(said, decision) {
  labels = labelsAfter(decisions);
  for (const listener of listeners) listener(decision);
  let kept = "";
  try {
    localStorage.setItem(STORE, JSON.stringify(decisions));
  } catch {
    kept = " This browser keeps nothing: export before you close the page.";
  }
  say(said + kept);
}
