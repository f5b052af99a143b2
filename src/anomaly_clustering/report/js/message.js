// The line at the foot of the page that says what has just happened, and fades.

const SECONDS = 8;
const line = document.getElementById("said");
let fading;

export function say(text) {
  line.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { line.textContent = ""; }, 1000 * SECONDS);
}
