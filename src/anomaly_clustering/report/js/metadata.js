// What is known of the images besides their pixels, column by column: time, batch, line and the rest.

import { run } from "report/run.js";

export const columns = run.metadata ?? [];

export const textOf = (column, image) => column.texts[column.of[image]];

// What images are filtered and counted by: of a time the day.
const groups = new Map(columns.map((column) => (
  [column, column.texts.map((text) => (column.name === "time" ? text.slice(0, 10) : text))]
)));

export const valueOf = (column, image) => groups.get(column)[column.of[image]];

const byName = new Intl.Collator("en", { numeric: true });

// What has no value comes last.
export const valuesOf = (column) => [...new Set(groups.get(column))].sort((a, b) => (
  Number(a === "") - Number(b === "") || byName.compare(a, b)
));
