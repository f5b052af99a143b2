// The fields that choose images by what is known of them: a column, and a value of it, or a part of some values.

import { plainOf } from "report/filter.js";
import { columns, valuesOf } from "report/metadata.js";
import { t } from "report/texts.js";

const MOST_OFFERED = 500;  // Values in the list below the field.
const chooser = document.getElementById("find-column"), field = document.getElementById("find-value");

const chosen = () => columns[chooser.value];

export function offerColumns() {
  if (!columns.length) return;
  const before = chooser.value || "0";
  chooser.replaceChildren(...columns.map(({ name }, c) => new Option(name === "time" ? t("day") : name, c)));
  chooser.value = before;
  offerValues();
}

function offerValues() {
  const values = valuesOf(chosen()).filter((value) => value !== "").slice(0, MOST_OFFERED);
  document.getElementById("values").replaceChildren(...values.map((value) => new Option(value, value)));
}

// The values that are asked for: the one that is written there, else all of which it is a part; null for all.
export function valuesAsked() {
  const text = columns.length ? field.value.trim() : "";
  if (!text) return { column: null, values: null };
  const all = valuesOf(chosen()), plain = plainOf(text);
  const values = all.includes(text) ? [text] : all.filter((value) => plainOf(value).includes(plain));
  return { column: chosen(), values: new Set(values) };
}

// Before the bar asks for the values.
chooser?.addEventListener("input", () => {
  field.value = "";
  offerValues();
});
