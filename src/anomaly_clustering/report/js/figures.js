// One figure an image: the page comes with them, and they only ever move from gallery to gallery.

export const imageOf = (figure) => Number(figure.dataset.index);
export const imagesIn = (gallery) => [...gallery.children].map(imageOf);
export const shownIn = (gallery) => [...gallery.children].filter((figure) => !figure.hidden);

export const figures = [];
for (const figure of document.querySelectorAll("figure[data-index]")) figures[imageOf(figure)] = figure;

let lastFocused = null;
document.querySelector("main").addEventListener("focusin", ({ target }) => {
  lastFocused = target.closest("figure") ?? lastFocused;
});

export const lastFocusedFigure = () => lastFocused;
const names = figures.map((figure) => figure.querySelector(".name").title);
export const nameOf = (image) => names[image];

export const tileOf = (figure) => figure.firstElementChild;

export function focusTile(figure) {
  tileOf(figure).focus({ preventScroll: true });
}

// A photograph as it may stand elsewhere on the page, with no heat map over it.
export function photoOf(image) {
  const photo = figures[image].querySelector(".photo").cloneNode();
  photo.loading = "eager";
  return photo;
}
