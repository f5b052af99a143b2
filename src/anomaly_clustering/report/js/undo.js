// Undo and redo, by button and by key.

import { canRedo, canUndo, redo, undo } from "report/history.js";
import { isTypedIn, takesLetters } from "report/typing.js";

const undoButton = document.getElementById("undo"), redoButton = document.getElementById("redo");

export function showUndo() {
  // Without `disabled`, which would take the focus from the button.
  undoButton.setAttribute("aria-disabled", String(!canUndo()));
  redoButton.setAttribute("aria-disabled", String(!canRedo()));
}

undoButton.addEventListener("click", undo);
redoButton.addEventListener("click", redo);
document.addEventListener("keydown", (event) => {
  // Where text is being typed, these keys undo the typing.
  if (!(event.ctrlKey || event.metaKey) || (takesLetters(event.target) && isTypedIn(event.target))) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) redo();
  else undo();
});
