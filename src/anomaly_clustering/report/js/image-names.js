// What the page calls each image: the end of its path, or another name where the page has one.

import { run } from "report/run.js";

const names = run.names.map((name, i) => (typeof name === "number" ? run.paths[i].slice(-name) : name));

export const nameOf = (image) => names[image];
