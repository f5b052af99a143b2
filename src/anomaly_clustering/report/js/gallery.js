// Galleries, navigation and progress follow the labels. Figures are made once, by the page, and only move.

const byId = (id) => document.getElementById(id);
const main = document.querySelector("main");
const strip = document.querySelector("nav ul");
const figures = [];
for (const figure of document.querySelectorAll("figure[data-index]")) figures[figure.dataset.index] = figure;
const sections = new Map();
for (const section of document.querySelectorAll("section[data-cluster]")) {
  sections.set(Number(section.dataset.cluster), section);
}
const pattern = [...sections.values()][0].cloneNode(true);
pattern.querySelector(".gallery").replaceChildren();

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const imagesIn = (gallery) => [...gallery.children].map((figure) => Number(figure.dataset.index));
const clusterOf = (element) => Number(element.closest("[data-cluster]").dataset.cluster);

function arrange(decision) {
  const clusters = clustersOf(labels);
  for (const [cluster, section] of sections) {
    if (clusters.includes(cluster)) continue;
    section.remove();
    sections.delete(cluster);
  }
  const inOrder = decision?.do === "cut";
  let last = null;
  for (const cluster of clusters) {
    if (!sections.has(cluster)) sections.set(cluster, newSection(cluster));
    const section = sections.get(cluster);
    // Clusters stay where the eye expects them until all are made anew.
    const before = decision?.do === "split" ? sections.get(decision.cluster) : last ?? byId("before-clusters");
    if (inOrder || !section.isConnected) before.after(section);
    last = section;
    fill(section, members(labels, cluster));
    describe(section, cluster);
  }
  fillStrip();
  const names = new Set(labels.names.values());
  byId("names").replaceChildren(...[...names].sort().map((name) => new Option(name, name)));
  showProgress();
}

function newSection(cluster) {
  const section = pattern.cloneNode(true);
  section.dataset.cluster = cluster;
  section.id = `cluster-${cluster}`;
  section.setAttribute("aria-labelledby", `heading-${cluster}`);
  section.querySelector("h2").id = `heading-${cluster}`;
  inSight.observe(section);
  return section;
}

function fill(section, images) {
  const gallery = section.querySelector(".gallery");
  const distance = (i) => Number(figures[i].dataset.distance);
  const wanted = images.sort((a, b) => distance(a) - distance(b) || a - b);
  const present = imagesIn(gallery);
  if (wanted.length !== present.length || wanted.some((image, k) => image !== present[k])) {
    gallery.replaceChildren(...wanted.map((i) => figures[i]));
  }
  for (const i of wanted) {
    figures[i].toggleAttribute("data-unsure", labels.unsure.has(i));
    figures[i].querySelector(".tile").tabIndex = -1;
  }
  // One stop of the Tab key a gallery; arrow keys do the rest.
  figures[wanted[0]].querySelector(".tile").tabIndex = 0;
}

function describe(section, cluster) {
  const images = members(labels, cluster);
  section.classList.toggle("named", labels.names.has(cluster));
  section.querySelector(".title").textContent = titleOf(labels, cluster);
  section.querySelector(".size").textContent = plural(images.length, "image");
  section.querySelector(".swatch").style.setProperty("--hue", hueOf(cluster));
  const input = section.querySelector(".naming");
  if (input !== document.activeElement) input.value = labels.names.get(cluster) ?? "";
  input.setAttribute("aria-label", `Name of ${titleOf(labels, cluster)}`);
  section.querySelector("[data-do='split']").disabled = !partsOf(images);
  const into = section.querySelector(".into");
  into.setAttribute("aria-label", `Merge ${titleOf(labels, cluster)} into`);
  into.value = "";
  section.querySelector("[data-do='merge']").disabled = true;
  describeClasses(section, images);
  drawMeanHeat(section.querySelector(".mean"), images);
}

function describeClasses(section, images) {
  const counts = run.classNames.map((_, c) => images.filter((i) => run.target[i] === c).length);
  const known = counts.reduce((a, b) => a + b, 0);
  const most = counts.indexOf(Math.max(...counts));
  const among = known < images.length ? ` among ${known} with a known class` : "", name = document.createElement("b");
  name.textContent = run.classNames[most];
  section.querySelector(".majority").replaceChildren(...(known ? ["mostly ", name] : []));
  section.querySelector(".purity").textContent = known ? `purity ${(counts[most] / known).toFixed(3)}${among}` : "";
  for (const i of images) figures[i].toggleAttribute("data-differs", run.target[i] >= 0 && run.target[i] !== most);
}

function fillStrip() {
  const clusters = clustersOf(labels);
  const sizes = clusters.map((cluster) => members(labels, cluster).length);
  const largest = Math.max(...sizes);
  strip.replaceChildren(...clusters.map((cluster, k) => {
    const item = document.createElement("li"), link = document.createElement("a"), title = document.createElement("b");
    link.href = `#cluster-${cluster}`;
    link.dataset.cluster = cluster;
    link.setAttribute("aria-label", `${titleOf(labels, cluster)}, ${plural(sizes[k], "image")}`);
    link.style.setProperty("--share", (sizes[k] / largest).toFixed(3));
    link.classList.toggle("named", labels.names.has(cluster));
    title.textContent = shortTitleOf(labels, cluster);
    link.append(title, ` ${sizes[k]}`);
    item.append(link);
    return item;
  }));
  fillMoves();
}

// Options are made when a list is opened: many clusters times many options would be slow.
function clusterOptions(except) {
  return clustersOf(labels)
    .filter((cluster) => cluster !== except)
    .map((cluster) => new Option(titleOf(labels, cluster), cluster));
}

function fillMoves() {
  const list = byId("move-to"), before = list.value;
  list.replaceChildren(...clusterOptions(null), new Option("a new cluster", "new"));
  if ([...list.options].some((option) => option.value === before)) list.value = before;
}

function showProgress() {
  const progress = progressOf(labels, decisions);
  const bar = byId("progress");
  bar.max = progress.images;
  bar.value = progress.labelled;
  byId("progress-text").textContent =
    `${progress.labelled} of ${progress.images} images labelled · ${plural(progress.made, "decision")} made · ` +
    `${plural(progress.spared, "decision")} spared`;
  byId("undo").disabled = !decisions.length;
  byId("redo").disabled = !undone.length;
  const found = clustersOf(labels).length;
  byId("now").textContent = decisions.length ? `now ${plural(found, "cluster")}` : "";
}

const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const link = strip.querySelector(`a[href="#${target.id}"]`);
    if (!link) continue;
    link.setAttribute("aria-current", String(isIntersecting));
    if (isIntersecting) strip.parentElement.scrollLeft = link.offsetLeft - strip.offsetLeft - 60;
  }
}, { rootMargin: "-25% 0px -74% 0px" });
for (const section of sections.values()) inSight.observe(section);

function hueOf(cluster) {
  return Math.round((cluster * 137.508 + 170) % 360);
}

// The heat maps: all of them at once, and how strongly they cover the images.
byId("heat-toggle").addEventListener("click", ({ currentTarget }) => {
  currentTarget.setAttribute("aria-pressed", String(document.body.classList.toggle("heat-on")));
});
for (const slider of document.querySelectorAll(".opacity")) {
  slider.addEventListener("input", () => {
    document.body.style.setProperty("--strength", slider.value / 100);
    for (const other of document.querySelectorAll(".opacity")) other.value = slider.value;
  });
}

// Mean weight of each patch over the images of a cluster, on a coarse grid, drawn as the heat map of an image is.
const cells = run.mean.side ** 2;
const levels = Uint8Array.from(atob(run.mean.levels), (byte) => byte.charCodeAt(0));

function drawMeanHeat(canvas, images) {
  const mean = new Float64Array(cells);
  for (const i of images) for (let c = 0; c < cells; c += 1) mean[c] += levels[i * cells + c] * run.mean.scale[i];
  const middle = mean.reduce((a, b) => a + b) / cells, excess = Math.max(...mean) - middle;
  canvas.width = canvas.height = run.mean.side;
  const pen = canvas.getContext("2d");
  if (excess <= 1e-3 * middle) return;
  mean.forEach((value, c) => {
    const heat = Math.max(0, value - middle) / excess;
    pen.fillStyle = run.palette[Math.round(heat * (run.palette.length - 1))];
    pen.fillRect(c % run.mean.side, Math.floor(c / run.mean.side), 1, 1);
  });
}
