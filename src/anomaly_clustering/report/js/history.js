// Decisions as they are made: kept over a reload, undone and made again. The labels follow from them anew each time.

import { checkedDecision, checkedDecisions, checkedKept, rightOnes } from "report/checked-decisions.js";
import { fromKept, numElsewhere, readKept, toKeep } from "report/kept-decisions.js";
import { areSame, labelsAfter } from "report/labels.js";
import { say } from "report/message.js";
import { run } from "report/run.js";
import { t } from "report/texts.js";
import { tellKept } from "report/unkept.js";

// What the page itself brings along does not mix with what the browser keeps of the page without it.
const PLAIN_STORE = `anomaly-clustering ${run.key}`;
const STORE = run.given ? `${PLAIN_STORE} ${run.given.id}` : PLAIN_STORE;
const REPLACED = `${STORE} replaced`;
// Which of them was written last: labels that a page brings along take the place of these.
const LAST = `${PLAIN_STORE} last`;
const listeners = [];
// As this window has read or written it last; another one may have written since.
let stored = null;
// Another window has kept what this page cannot read, as that of a newer report: what it has kept stays.
let isBehind = false;
let decisions = remembered();
let undone = [];
// What loaded labels have replaced, and how many decisions these were.
let replaced = replacedElsewhere();
let labels = labelsAfter(decisions);

addEventListener("storage", (event) => {
  if (event.key === LAST && event.newValue !== null && event.newValue !== STORE) say(t("another_report"));
  if (event.key !== STORE) return;
  if (followed()) changed(() => t("another_window"), { do: "cut" }, { keep: false });
  else if (isBehind) say(t("reload"));
});

export const currentDecisions = () => decisions;
export const currentLabels = () => labels;
export const canUndo = () => decisions.length > 0 || replaced.length > 0;
export const canRedo = () => undone.length > 0;

// The listener gets the decision that was made or undone.
export function onChange(listener) {
  listeners.push(listener);
}

// Only what the labels allow as they are now: a field or a dialog may be of a cluster that is gone. What is said may
// depend on the labels that follow.
export function decide(decision, said) {
  if (followed()) changed(() => t("another_window"), { do: "cut" }, { keep: false });
  if (refused()) return;
  try {
    checkedDecision(decision, labels, decisions.length + 1);
  } catch {
    say(t("is_gone"));
    return;
  }
  if (decision.do === "cut" && isCutLast()) decisions.pop();
  decisions.push(decision);
  undone = [];
  changed(said, decision);
}

// A cut follows from the tree and from what was decided before, whatever cut came between: of several the last one is
// kept, and Undo leads to before the first. One that was loaded stays.
const isCutLast = () => decisions.at(-1)?.do === "cut" && decisions.length > (replaced.at(-1)?.length ?? 0);

export function undo() {
  followed();
  if (refused() || !canUndo()) return;
  const last = replaced.at(-1);
  if (last && decisions.length <= last.length) {
    undone.push({ loaded: decisions });
    decisions = replaced.pop().decisions;
    changed(() => t("undone_load"), { do: "cut" });
    return;
  }
  const decision = decisions.pop();
  undone.push(decision);
  changed(() => t("undone"), decision);
}

export function redo() {
  followed();
  if (refused() || !canRedo()) return;
  const decision = undone.pop();
  if (decision.loaded) {
    replaceBy(decision.loaded, undone);
    return;
  }
  decisions.push(decision);
  changed(() => t("done_again"), decision);
}

// All of a list, or, where anything in it is wrong, nothing.
export function takeOver(list) {
  const loaded = checkedDecisions(list);
  followed();
  if (!refused()) replaceBy(loaded, []);
}

function refused() {
  if (isBehind) say(t("reload"));
  return isBehind;
}

function replaceBy(loaded, toRedo) {
  if (decisions.length) replaced.push({ decisions, length: loaded.length });
  const isOver = decisions.length > 0;
  decisions = loaded;
  undone = toRedo;
  changed(() => t(isOver ? "loaded_over" : "loaded"), { do: "cut" });
}

// Takes what another window with this report has written since; whether it has.
function followed() {
  let kept;
  try {
    kept = localStorage.getItem(STORE);
  } catch {
    return false;
  }
  if (kept === null || kept === stored) return false;
  try {
    const { list, hasNumbers } = readKept(JSON.parse(kept));
    decisions = checkedKept(list);
    if (hasNumbers) setAside(kept, t("by_number"));
  } catch {
    isBehind = true;
    return false;
  }
  [isBehind, stored, undone, replaced] = [false, kept, [], rememberedReplaced()];
  return true;
}

function remembered() {
  let kept = null;
  try {
    kept = localStorage.getItem(STORE);
    stored = kept;
    if (kept !== null) {
      const { list, hasNumbers } = readKept(JSON.parse(kept)), n = numElsewhere();
      const right = rightOnes(list, { areKept: true });
      if (right.error) setAside(kept, right.error.message);
      else if (hasNumbers) setAside(kept, t("by_number"));
      else if (n) say(t("elsewhere", { n }));
      if (right.decisions.length || !right.error) return right.decisions;
    }
  } catch (error) {
    if (kept !== null) setAside(kept, error.message);
  }
  return given();
}

// What cannot be read is set aside, since the next decision takes the place of all.
function rememberedReplaced() {
  let kept = null;
  try {
    kept = localStorage.getItem(REPLACED);
    const read = JSON.parse(kept ?? "[]").map(({ decisions: before, length }) => ({ ...readKept(before), length }));
    if (read.some(({ hasNumbers }) => hasNumbers)) setAside(kept, t("by_number"));
    return read.map(({ list, length }) => ({ decisions: checkedKept(list), length: Number(length) }));
  } catch (error) {
    if (kept !== null) setAside(kept, error.message);
    return [];
  }
}

// Labels in the page a person cannot mend here: it opens with those before the first that is wrong, and says why.
function given() {
  if (!run.given) return [];
  // A named copy holds what a browser kept.
  const { decisions: right, error } = rightOnes(fromKept(run.given.decisions), { areKept: true });
  if (error) say(t("given_wrong", { why: error.message }));
  return right;
}

// To open a page with labels is to load these: Undo leads to what was decided last in this browser. So it does where
// another page of the run, as one that was left open, was decided on since.
function replacedElsewhere() {
  const before = stored === null ? [] : rememberedReplaced();
  try {
    const last = localStorage.getItem(LAST) ?? (stored === null ? PLAIN_STORE : STORE);
    if (last === STORE || (stored === null && !run.given)) return before;
    const others = checkedKept(readKept(JSON.parse(localStorage.getItem(last) ?? "[]")).list);
    if (!others.length || begins(others, decisions)) return before;
    if (!areSame(labelsAfter(others), labelsAfter(decisions))) say(t("given_over"));
    return [...before.filter((one) => !begins(one.decisions, others)), { decisions: others, length: decisions.length }];
  } catch {
    return before;
  }
}

// Whether some decisions are the first of others.
function begins(some, others) {
  return JSON.stringify(some) === JSON.stringify(others.slice(0, some.length));
}

// The next decision would take its place. What was set aside before stays as well, but for the beginning of the same.
function setAside(kept, why) {
  const isOther = (before) => before !== null && !kept.startsWith(before.slice(0, -1));
  try {
    let place = `${STORE} set aside`;
    for (let n = 2; isOther(localStorage.getItem(place)); n += 1) place = `${STORE} set aside ${n}`;
    localStorage.setItem(place, kept);
    say(t("set_aside", { why }));
  } catch {
    say(t("set_aside_in_vain", { why }));
  }
}

function changed(said, decision, { keep = true } = {}) {
  labels = labelsAfter(decisions);
  for (const listener of listeners) listener(decision);
  let kept = "";
  try {
    if (keep) store();
    tellKept(true);
  } catch {
    tellKept(false);
    kept = ` ${t("keeps_nothing")}`;
  }
  say(said(labels) + kept);
}

// Only what is kept counts as read: else what was kept before would be taken for another window's.
function store() {
  const text = JSON.stringify(toKeep(decisions));
  const before = replaced.map((one) => ({ ...one, decisions: toKeep(one.decisions) }));
  const beforeThat = localStorage.getItem(REPLACED);
  try {
    put(REPLACED, before.length ? JSON.stringify(before) : null);
    localStorage.setItem(STORE, text);
  } catch (error) {
    // The two belong together. What was there has room again.
    put(REPLACED, beforeThat);
    throw error;
  }
  stored = text;
  localStorage.setItem(LAST, STORE);
}

function put(place, text) {
  if (text === null) localStorage.removeItem(place);
  else localStorage.setItem(place, text);
}
