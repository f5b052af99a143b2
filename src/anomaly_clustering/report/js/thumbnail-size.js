// How large the thumbnails are, by a slider.

const slider = document.getElementById("size");

slider.addEventListener("input", () => {
  document.body.style.setProperty("--size", `${slider.value}px`);
});
