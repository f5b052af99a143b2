// Where the focus goes when what has it is hidden, made anew or taken away: to the same again, else to what is nearest.

import { imageOf, lastFocusedImage, tileOf } from "report/figures.js";
import { bring, clusterOf, imagesOf, nearestShown, sectionOf } from "report/gallery.js";
import { currentLabels } from "report/history.js";

// What each cluster has one of: how it is found.
const TOOLS = [".naming", "[data-do='split']", "[data-do='merge']", "[data-do='open']"], LISTS = ["nav", ".leaves"];
const CONTROLS = [
  ...TOOLS.map((tool) => (cluster) => `#cluster-${cluster} ${tool}`),
  ...LISTS.map((list) => (cluster) => `${list} [href='#cluster-${cluster}']`),
];
const [NAMING] = CONTROLS;
let before = null;

const isLost = (element) => element === document.body || element.matches("[hidden], [hidden] *, :disabled");

// The image itself where it is shown, else the nearest one that is. Where a filter shows none: a button that decides on
// nothing, since Enter may have been pressed and would press it too.
export function focusNear(image, options = {}) {
  const near = nearestShown(image), figure = near === null ? null : bring(near);
  (figure ? tileOf(figure) : document.getElementById("begin")).focus(options);
}

// While the galleries are still those that a person sees.
export function noteFocus() {
  const element = document.activeElement, cluster = clusterAt(element), figure = element.closest("figure");
  before = element === document.body ? null : {
    cluster,
    control: cluster === null ? null : CONTROLS.find((find) => element.matches(find(cluster))) ?? NAMING,
    image: figure ? imageOf(figure) : imagesOf(sectionOf(cluster))?.[0] ?? lastFocusedImage(),
  };
}

// Of a tool or a link of one, and of the dialog in which it is compared; null of an image and of all else.
function clusterAt(element) {
  if (element.closest("figure")) return null;
  if (element.matches("nav a, .leaves a")) return Number(element.hash.slice("#cluster-".length));
  return element.closest("[data-cluster]") ? clusterOf(element) : null;
}

export function keepFocus() {
  if (!before || !isLost(document.activeElement)) return;
  const { cluster, control, image } = before;
  // Where a cluster is gone, the one that its images went to.
  const again = control ? [cluster, currentLabels().of[image]].flatMap((k) => [control(k), NAMING(k)]) : [];
  const same = again.map((selector) => document.querySelector(selector)).find((element) => element && !isLost(element));
  if (same) same.focus({ preventScroll: true });
  else focusNear(image, { preventScroll: true });
}
