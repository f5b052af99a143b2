// The labels in; how often each named defect is found, the most frequent first, out. Nothing is drawn.

import { run } from "report/run.js";
import { typicalOf } from "report/typical.js";

// Names of what has no defect, as layouts.py has them.
const DEFECT_FREE = ["good", "normal", "ok"];
const PHOTOS = 3;  // Of each defect.

// Clusters of one name are one defect. Images that are unsure, or in a cluster without a name, are not labelled.
export function paretoOf(labels) {
  const byName = new Map();
  let unlabelled = 0;
  labels.of.forEach((cluster, i) => {
    const name = labels.names.get(cluster);
    if (name === undefined || labels.unsure.has(i)) unlabelled += 1;
    else if (byName.has(name)) byName.get(name).push(i);
    else byName.set(name, [i]);
  });
  const all = [...byName].map(([name, images]) => ({
    name,
    count: images.length,
    sound: images.filter((i) => run.sound?.[i]).length,
    photos: typicalOf(images, PHOTOS),
  }));
  all.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
  const isGood = ({ name }) => DEFECT_FREE.includes(name.toLowerCase());
  const defects = all.filter((row) => !isGood(row)), sumOf = (field) => defects.reduce((sum, row) => sum + row[field], 0);
  const total = sumOf("count"), sound = sumOf("sound");
  let before = 0;
  for (const row of defects) {
    before += row.count;
    row.share = row.count / total;
    row.upTo = before / total;
  }
  return { defects, good: all.filter(isGood), total, sound, unlabelled };
}
