// One image at a time, larger: the image beside its heat map, both under the same lens.

import { figures, imageOf, imagesIn } from "report/figures.js";
import { currentLabels } from "report/history.js";
import { toggleUnsure } from "report/image-decisions.js";
import { titleOf } from "report/words.js";

const view = document.getElementById("view");
const zoomSlider = document.getElementById("zoom");
const panes = [...view.querySelectorAll(".pane")];
let imageShown = 0;

export function openView(image) {
  show(image);
  view.showModal();
}

function show(image) {
  imageShown = image;
  const labels = currentLabels();
  const figure = figures[image];
  const plain = figure.querySelector(".frame").cloneNode(true);
  for (const picture of plain.querySelectorAll("img")) picture.loading = "eager";
  const heated = plain.cloneNode(true);
  plain.querySelector(".heat").remove();
  heated.querySelector(".photo").alt = "with its heat map";
  panes[0].replaceChildren(plain);
  panes[1].replaceChildren(heated);

  const others = imagesIn(figure.parentElement);
  const known = figure.querySelector(".class span")?.textContent;
  const differs = "differs" in figure.dataset ? " differs" : "";
  document.getElementById("view-name").textContent = figure.querySelector(".name").textContent;
  document.getElementById("view-about").textContent = [
    titleOf(labels, labels.of[image]),
    `${others.indexOf(image) + 1} of ${others.length} from its centre outwards`,
    `distance ${figure.dataset.distance}`,
    ...("score" in figure.dataset ? [`score ${figure.dataset.score} (0 usual, 1 most unusual)`] : []),
    ...(known ? [known + differs] : []),
    ...(labels.unsure.has(image) ? ["unsure"] : []),
  ].join(" · ");
}

// Through all galleries in the order of the page.
function walk(step) {
  const order = [...document.querySelectorAll("figure[data-index]")].map(imageOf);
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
  const left = middle[0] * pane.scrollWidth - pane.clientWidth / 2;
  const top = middle[1] * pane.scrollHeight - pane.clientHeight / 2;
  for (const both of panes) both.scrollTo(left, top);
}

view.addEventListener("click", ({ target }) => {
  if (target.dataset.step) walk(Number(target.dataset.step));
  // The sheet fills the dialog, so what hits the dialog itself is a click beside it.
  else if (target === view || "close" in target.dataset) view.close();
});
view.addEventListener("keydown", (event) => {
  // Where an image is larger than its pane, arrows move the lens.
  const zoomed = event.target.matches(".pane") && zoomSlider.value > 1;
  if (event.target.matches("input") || (zoomed && event.key.startsWith("Arrow"))) return;
  const keys = {
    ArrowLeft: () => walk(-1),
    ArrowRight: () => walk(1),
    "+": () => zoom(Number(zoomSlider.value) + 1),
    "-": () => zoom(Number(zoomSlider.value) - 1),
    u: () => {
      toggleUnsure([imageShown]);
      show(imageShown);
    },
  };
  if (!keys[event.key]) return;
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
  figures[imageShown].querySelector(".tile").focus();
});
