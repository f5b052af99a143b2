// Decisions as they are made: kept over a reload, undone and made again. The labels follow from them anew each time.

const STORE = `anomaly-clustering ${run.key}`;
let decisions = remembered();
let undone = [];
let labels = labelsAfter(decisions);
const listeners = [];

function remembered() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    labelsAfter(stored);  // What is not a list of decisions fails here.
    return stored;
  } catch {
    return [];
  }
}

function decide(decision, said) {
  decisions.push(decision);
  undone = [];
  changed(said, decision);
}

function undo() {
  if (!decisions.length) return;
  const decision = decisions.pop();
  undone.push(decision);
  changed("Undone", decision);
}

function redo() {
  if (!undone.length) return;
  const decision = undone.pop();
  decisions.push(decision);
  changed("Done again", decision);
}

function takeOver(list) {
  labelsAfter(list);
  decisions = list;
  undone = [];
  changed("Labels loaded", { do: "cut" });
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

let fading;

function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { said.textContent = ""; }, 8000);
}
