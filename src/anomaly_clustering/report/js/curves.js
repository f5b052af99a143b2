// Curves over the number of clusters K, to choose it by.

import { run } from "report/run.js";
import { svg } from "report/svg.js";
import { t, tIfKnown } from "report/texts.js";

const CURVES = {
  "Height of the next merge": "curve_height",
  "L method: error of two lines": "curve_l_method",
  "Silhouette": "curve_silhouette",
  "Purity (known classes)": "curve_purity",
};
const MOST = Number(document.getElementById("k").max);  // The axis ends where the slider does.

const upTo = (points) => points.filter(([k]) => k >= 1 && k <= MOST);
let curves = [];

// Their titles come from the run, in English.
export function drawCurves() {
  curves = run.curves.map(({ title, points, best }) => (
    curve({ title: tIfKnown(CURVES[title], title), points: upTo(points), best })
  ));
  document.getElementById("curves").replaceChildren(...curves.map(({ element }) => element));
}

export function markOnCurves(k) {
  for (const { mark } of curves) mark(k);
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
  const name = t("over_k", { title });
  const line = svg("line", { class: "here", y1: 4, y2: height - bottom });
  const plot = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name },
    svg("line", { class: "axis", x1: left, x2: right, y1: height - bottom, y2: height - bottom }),
    ...[1, 2, 5, 10, 20, 50, 100].filter((k) => k <= MOST).map(across),
    ...[...new Set(points.length ? [high, low] : [])].map(up),
    svg("polyline", { points: points.map(([k, value]) => `${x(k).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }),
    line,
  );
  const at = new Map(points);
  if (at.has(best)) plot.append(svg("circle", { class: "best", cx: x(best), cy: y(at.get(best)), r: 3.5 }));
  const caption = document.createElement("span");
  caption.textContent = title;
  const valueHere = document.createElement("b");
  const element = document.createElement("div");
  element.className = "curve";
  element.append(caption, " ", valueHere, plot);

  function mark(k) {
    line.setAttribute("x1", x(k));
    line.setAttribute("x2", x(k));
    valueHere.textContent = at.has(k) ? at.get(k).toPrecision(3) : "";
  }
  return { element, mark };
}
