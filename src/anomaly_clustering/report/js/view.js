// One image at a time, larger: the image beside its heat map, both under the same lens.

import { hasAlike } from "report/alike.js";
import { figureOf, frameOf } from "report/figures.js";
import { scoreOf } from "report/filter.js";
import { focusNear } from "report/focus.js";
import { imagesOf, sectionOf, sectionsInOrder, shownIn } from "report/gallery.js";
import { differs } from "report/heading.js";
import { currentLabels } from "report/history.js";
import { exclude, toggleUnsure } from "report/image-decisions.js";
import { nameOf } from "report/image-names.js";
import { columns, textOf } from "report/metadata.js";
import { run } from "report/run.js";
import { showSimilar } from "report/similar.js";
import { t } from "report/texts.js";
import { fullTitleOf, titleOf } from "report/words.js";

const view = document.getElementById("view");
const zoomSlider = document.getElementById("zoom");
document.getElementById("view-like").hidden = !hasAlike;
const panes = [...view.querySelectorAll(".pane")];
let imageShown = 0, leaves = false;

export function openView(image) {
  show(image);
  view.showModal();
}

export function showViewAgain() {
  if (view.open) show(imageShown);
}

function show(image) {
  imageShown = image;
  const labels = currentLabels();
  const plain = frameOf(image), heated = plain.cloneNode(true);
  plain.querySelector(".heat").remove();
  heated.querySelector(".photo").alt = t("with_heat_map");
  panes[0].replaceChildren(plain);
  panes[1].replaceChildren(heated);

  const figure = figureOf(image), score = scoreOf(image), cluster = labels.of[image];
  const known = run.classNames[run.target[image]];
  const notIn = [...(labels.notIn.get(image) ?? [])].map((other) => titleOf(labels, other)).join(", ");
  document.getElementById("view-name").textContent = nameOf(image);
  document.getElementById("view-about").textContent = [
    fullTitleOf(labels, cluster),
    placeInGallery(image, sectionOf(cluster)),
    t("distance", { distance: run.distances[image] ?? "∞" }),
    ...(score === null ? [] : [t("score", { score })]),
    ...(known ? [`${known}${differs(labels, image) ? ` ${t("differs")}` : ""}`] : []),
    ...(labels.unsure.has(image) ? [t("unsure")] : []),
    ...(notIn ? [t("is_not_in", { title: notIn })] : []),
    ...columns.filter((column) => textOf(column, image)).map((column) => `${column.name} ${textOf(column, image)}`),
  ].join(" · ");
  showOriginal(figure.querySelector(".original"));
}

function placeInGallery(image, section) {
  const others = imagesOf(section);
  return t("place", { place: others.indexOf(image) + 1, n: others.length });
}

function showOriginal(link) {
  const shownLink = document.getElementById("view-original");
  shownLink.hidden = !link;
  if (link) shownLink.href = link.href;
  view.classList.remove("full");
  if (run.sheets) useOriginal();  // In a sheet it is small.
}

// Under the lens stands the file itself where the browser can show it, and else the thumbnail, enlarged.
function useOriginal() {
  const link = figureOf(imageShown).querySelector(".original");
  if (!link || view.classList.contains("full")) return;
  view.classList.add("full");
  const image = imageShown, file = new Image();
  file.addEventListener("load", () => {
    if (image !== imageShown) return;
    for (const photo of view.querySelectorAll(".photo")) {
      photo.classList.add("whole");
      photo.src = file.src;
    }
  });
  file.src = link.href;
}

// In the order of the page, from where the image stands that is seen, though a filter or a strip may hide it there.
function walk(step) {
  const order = sectionsInOrder().flatMap((section) => {
    const seen = new Set(shownIn(section)).add(imageShown);
    return imagesOf(section).filter((image) => seen.has(image));
  });
  show(order[(order.indexOf(imageShown) + step + order.length) % order.length]);
}

// What is in the middle of the lens stays there.
function zoom(value) {
  const [pane] = panes;
  const middle = [
    (pane.scrollLeft + pane.clientWidth / 2) / pane.scrollWidth,
    (pane.scrollTop + pane.clientHeight / 2) / pane.scrollHeight,
  ];
  zoomSlider.value = value;
  view.style.setProperty("--zoom", zoomSlider.value);
  if (zoomSlider.value > 1) useOriginal();
  const left = middle[0] * pane.scrollWidth - pane.clientWidth / 2;
  const top = middle[1] * pane.scrollHeight - pane.clientHeight / 2;
  for (const both of panes) both.scrollTo(left, top);
}

// What is done there says where the focus goes.
function leaveTo(act) {
  leaves = true;
  view.close();
  act(imageShown);
}

view.addEventListener("click", ({ target }) => {
  if (target.dataset.step) walk(Number(target.dataset.step));
  // The sheet fills the dialog, so what hits the dialog itself is a click beside it.
  else if (target.id === "view-like") leaveTo(showSimilar);
  else if (target.id === "view-exclude") leaveTo((image) => exclude([image]));
  else if (target === view || "close" in target.dataset) view.close();
});
view.addEventListener("keydown", (event) => {
  // Where an image is larger than its pane, arrows move the lens; on a slider they move that.
  const zoomed = event.target.matches(".pane") && zoomSlider.value > 1;
  if ((event.target.matches("input") || zoomed) && event.key.startsWith("Arrow")) return;
  const keys = {
    ArrowLeft: () => walk(-1),
    ArrowRight: () => walk(1),
    "+": () => zoom(Number(zoomSlider.value) + 1),
    "-": () => zoom(Number(zoomSlider.value) - 1),
    s: () => leaveTo(showSimilar),
    r: () => leaveTo((image) => exclude([image])),
    u: () => toggleUnsure([imageShown]),
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});
zoomSlider.addEventListener("input", () => zoom(zoomSlider.value));
for (const pane of panes) {
  pane.addEventListener("scroll", () => {
    for (const other of panes) if (other !== pane) other.scrollTo(pane.scrollLeft, pane.scrollTop);
  });
}
view.addEventListener("close", () => {
  zoom(1);
  if (!leaves) focusNear(imageShown);
  leaves = false;
});
