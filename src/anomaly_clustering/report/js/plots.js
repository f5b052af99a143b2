// How many clusters? Curves over K, the dendrogram, and the slider that cuts it.

const SVG = "http://www.w3.org/2000/svg";
const slider = byId("k"), field = byId("k-number");
const MOST = Number(slider.max);

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// One curve over K, on a logarithmic axis: points [K, value], a mark at the best of them where there is one, and a line
// at the K in question.
function curve({ title, points, best }) {
  const width = 240, height = 96, left = 34, right = width - 8, bottom = 18;
  const values = points.map(([, value]) => value);
  const low = Math.min(...values), high = Math.max(...values);
  const x = (k) => left + (Math.log(k) / (Math.log(MOST) || 1)) * (right - left);
  const y = (value) => 8 + (1 - (value - low) / (high - low || 1)) * (height - bottom - 12);
  const across = (k) => svg("text", { x: x(k), y: height - 5, "text-anchor": "middle" }, k);
  const up = (value) => svg("text", { x: left - 5, y: y(value) + 3.5, "text-anchor": "end" }, value.toPrecision(2));
  const name = `${title} over the number of clusters`;
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name });
  plot.append(
    svg("line", { class: "axis", x1: left, x2: right, y1: height - bottom, y2: height - bottom }),
    ...[1, 2, 5, 10, 20, 50, 100].filter((k) => k <= MOST).map(across),
    ...(high > low ? [up(high), up(low)] : [up(low)]),
    svg("polyline", { points: points.map(([k, value]) => `${x(k).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }),
    svg("line", { class: "here", y1: 4, y2: height - bottom }),
  );
  if (best !== undefined) {
    const value = points.find(([k]) => k === best)[1];
    plot.append(svg("circle", { class: "best", cx: x(best), cy: y(value), r: 3.5 }));
  }
  const caption = document.createElement("span");
  caption.textContent = title;
  const value = document.createElement("b");
  const item = document.createElement("div");
  item.className = "curve";
  item.append(caption, " ", value, plot);
  const at = new Map(points);
  item.mark = (k) => {
    const here = plot.querySelector(".here");
    here.setAttribute("x1", x(k));
    here.setAttribute("x2", x(k));
    value.textContent = at.has(k) ? at.get(k).toPrecision(3) : "";
  };
  return item;
}

const upTo = (points) => points.filter(([k]) => k >= 1 && k <= MOST);
const curves = run.curves.map(({ title, points, best }) => curve({ title, points: upTo(points), best }));
byId("curves").append(...curves);

// The dendrogram above the cut, at most 60 leaves of it; of more than 20 the text would be cut off.
const MOST_WITH_TEXT = 20;

function drawDendrogram(k) {
  const nodes = cutTree(Math.min(k, 60));
  const leaf = new Set(nodes), width = 1000, height = 198, bottom = 42;
  const top = heightOf(ROOT) || 1;
  const y = (node) => 6 + (1 - heightOf(node) / top) * (height - bottom - 6);
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
  const step = width / nodes.length;
  let placed = 0;
  const places = document.createElement("div");
  places.className = nodes.length > MOST_WITH_TEXT ? "leaves narrow" : "leaves";

  function place(node) {
    if (leaf.has(node)) {
      const x = (placed + 0.5) * step;
      placed += 1;
      const images = leavesBelow(node), link = document.createElement("a");
      const cluster = labels.of[images[0]];
      const shown = document.createElement("b");
      link.href = `#cluster-${cluster}`;
      link.title = `${plural(images.length, "image")}, the first in ${titleOf(labels, cluster)}`;
      link.setAttribute("aria-label", link.title);
      shown.textContent = shortTitleOf(labels, cluster);
      link.append(shown, images.length);
      link.style.setProperty("--hue", hueOf(cluster));
      places.append(link);
      return { x, y: height - bottom };
    }
    const [a, b] = childrenOf(node).map(place), here = y(node);
    plot.append(svg("path", { d: `M${a.x},${a.y}V${here}H${b.x}V${b.y}` }));
    return { x: (a.x + b.x) / 2, y: here };
  }
  if (nodes.length > 1) place(ROOT);
  const undoneHeight = k > 1 ? heightOf(2 * numLeaves - k) : top, nextHeight = heightOf(2 * numLeaves - k - 1);
  const cutAt = 6 + (1 - (undoneHeight + nextHeight) / 2 / top) * (height - bottom - 6);
  plot.append(svg("line", { class: "here", x1: 0, x2: width, y1: cutAt, y2: cutAt }));
  byId("dendrogram").replaceChildren(plot, places);
}

function currentK() {
  return decisions.findLast((decision) => decision.do === "cut")?.k ?? run.numClusters;
}

function preview(k) {
  slider.value = field.value = k;
  for (const item of curves) item.mark(k);
  drawDendrogram(k);
}

function cutAt(value) {
  const k = Math.min(Math.max(1, Math.round(Number(value)) || 1), numLeaves);
  if (k === currentK() && decisions.length) return preview(k);
  decide({ do: "cut", k }, `Cut into ${plural(k, "cluster")}; what you decided on stays as it is`);
}

slider.addEventListener("input", () => preview(Number(slider.value)));
slider.addEventListener("change", () => cutAt(slider.value));
field.addEventListener("change", () => cutAt(field.value));
