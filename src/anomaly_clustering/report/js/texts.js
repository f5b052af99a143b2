// The name of a text and its values in; what the page says, in the language of the reader, out.

const table = JSON.parse(document.getElementById("texts").textContent);
const STORE = "anomaly-clustering language";
const ATTRIBUTES = { label: "aria-label", title: "title", placeholder: "placeholder" };
const chooser = document.getElementById("language");
const languages = [...chooser.options].map((option) => option.value);
const listeners = [];
let language = chosenBefore() ?? navigator.languages.map((name) => name.slice(0, 2)).find(isKnown) ?? "en";

function isKnown(name) {
  return languages.includes(name);
}

function chosenBefore() {
  try {
    return [localStorage.getItem(STORE)].find(isKnown);
  } catch {
    return undefined;
  }
}

// `n` decides between one and several; texts.py does the same for English.
export function t(name, values = {}) {
  const words = table[name][language];
  const text = Array.isArray(words) ? words.at(values.n === 1 ? 0 : -1) : words;
  return text.replace(/\{(\w+)\}/g, (_, value) => values[value]);
}

// What comes from the run and not from the page stays as it is.
export function tIfKnown(name, otherwise) {
  return name !== undefined && Object.hasOwn(table, name) ? t(name) : otherwise;
}

export function onLanguage(listener) {
  listeners.push(listener);
}

// Elements that always say the same, or the same of the run, and their attributes.
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-told]")) {
    element.textContent = t(element.dataset.told, JSON.parse(element.dataset.values));
  }
  for (const [short, attribute] of Object.entries(ATTRIBUTES)) {
    for (const element of root.querySelectorAll(`[data-t-${short}]`)) {
      element.setAttribute(attribute, t(element.getAttribute(`data-t-${short}`)));
    }
  }
}

export function startTranslated() {
  chooser.value = language;
  document.documentElement.lang = language;
  if (language !== "en") translate(document);
}

chooser.addEventListener("change", () => {
  language = chooser.value;
  try {
    localStorage.setItem(STORE, language);
  } catch {
    // Then it is asked for again.
  }
  document.documentElement.lang = language;
  translate(document);
  for (const listener of listeners) listener();
});
