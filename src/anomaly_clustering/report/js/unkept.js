// The line that stays at the top of the page while the browser keeps no decisions.

const line = document.getElementById("unkept");
const PROBE = "anomaly-clustering probe";

export function tellKept(isKept) {
  line.hidden = isKept;
}

// Some browsers keep nothing of a file. It is known before anything is decided.
try {
  localStorage.setItem(PROBE, "");
  localStorage.removeItem(PROBE);
} catch {
  tellKept(false);
}
