// One figure an image: the page comes with them, and they only ever move from gallery to gallery.

export const imageOf = (figure) => Number(figure.dataset.index);
export const imagesIn = (gallery) => [...gallery.children].map(imageOf);
export const allInGalleryOf = (figure) => [...figure.parentElement.children];

export const figures = [];
for (const figure of document.querySelectorAll("figure[data-index]")) figures[imageOf(figure)] = figure;

let lastFocused = null;
document.querySelector("main").addEventListener("focusin", ({ target }) => {
  lastFocused = target.closest("figure") ?? lastFocused;
});

export const lastFocusedFigure = () => lastFocused;

export function focusTile(figure) {
  figure.querySelector(".tile").focus({ preventScroll: true });
}
