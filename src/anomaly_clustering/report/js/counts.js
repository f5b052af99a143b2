// The labels and a column of the metadata in; how often each name is found with each of its values, out. Nothing is drawn.

import { valueOf, valuesOf } from "report/metadata.js";

export function countsBy(column, labels) {
  const totals = new Map(), rows = new Map(valuesOf(column).map((value) => [value, new Map()]));
  const add = (counts, name) => counts.set(name, (counts.get(name) ?? 0) + 1);
  labels.of.forEach((cluster, i) => {
    // As in the summary, an image that is unsure, or in a cluster without a name, is not labelled.
    const name = labels.unsure.has(i) ? null : labels.names.get(cluster) ?? null;
    add(totals, name);
    add(rows.get(valueOf(column, i)), name);
  });
  const names = [...totals.keys()].filter((name) => name !== null).sort((a, b) => totals.get(b) - totals.get(a));
  return { names: totals.has(null) ? [...names, null] : names, rows: [...rows] };
}
