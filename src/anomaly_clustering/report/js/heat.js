// The heat maps over the images: all of them at once, and how strongly they cover what is below.

const sliders = document.querySelectorAll(".opacity");

document.getElementById("heat-toggle").addEventListener("click", ({ currentTarget }) => {
  currentTarget.setAttribute("aria-pressed", String(document.body.classList.toggle("heat-on")));
});
for (const slider of sliders) {
  slider.addEventListener("input", () => {
    document.body.style.setProperty("--strength", slider.value / 100);
    for (const other of sliders) other.value = slider.value;
  });
}
