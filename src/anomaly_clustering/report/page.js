// The heat map switch, the cluster that is in sight, and the larger view. Text goes in as text, never as HTML.
"use strict";

const toggle = document.getElementById("heat-toggle");
toggle.addEventListener("click", () => {
  const on = document.body.classList.toggle("heat-on");
  toggle.setAttribute("aria-pressed", String(on));
});

const strip = document.querySelector("nav");
const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const link = strip.querySelector(`a[href="#${target.id}"]`);
    link.setAttribute("aria-current", String(isIntersecting));
    if (isIntersecting) strip.scrollLeft = link.offsetLeft - strip.offsetLeft - 60;
  }
}, { rootMargin: "-25% 0px -74% 0px" });
document.querySelectorAll("section[data-cluster]").forEach((section) => inSight.observe(section));

const view = document.getElementById("view");
const figures = [...document.querySelectorAll("figure[data-index]")];
let shown = 0;

function show(position) {
  shown = (position + figures.length) % figures.length;
  const figure = figures[shown];
  const plain = figure.querySelector(".frame").cloneNode(true);
  const heated = plain.cloneNode(true);
  plain.querySelector(".heat").remove();
  view.querySelector(".pair").replaceChildren(plain, heated);

  const section = figure.closest("section");
  const rank = [...section.querySelectorAll("figure")].indexOf(figure) + 1;
  const size = section.querySelectorAll("figure").length;
  const known = figure.querySelector(".class");
  view.querySelector("#view-name").textContent = figure.querySelector(".name").textContent;
  view.querySelector("#view-about").textContent = [
    `Cluster ${section.dataset.cluster}`,
    `${rank} of ${size} from its centre outwards`,
    `distance ${figure.dataset.distance}`,
    ...(known ? [known.textContent] : []),
  ].join(" · ");
}

figures.forEach((figure, position) =>
  figure.querySelector("button").addEventListener("click", () => {
    show(position);
    view.showModal();
  }));

view.addEventListener("click", ({ target }) => {
  if (target.dataset.step) show(shown + Number(target.dataset.step));
  // The sheet fills the dialog, so what hits the dialog itself is a click beside it.
  else if (target === view || "close" in target.dataset) view.close();
});
view.addEventListener("keydown", ({ key }) => {
  if (key === "ArrowLeft") show(shown - 1);
  if (key === "ArrowRight") show(shown + 1);
});
view.addEventListener("close", () => figures[shown].querySelector("button").focus());
