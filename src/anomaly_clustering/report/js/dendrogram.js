// The dendrogram above the cut: its branches as a drawing, its leaves as links to their clusters.

import { currentLabels } from "report/history.js";
import { hueOf } from "report/hue.js";
import { svg } from "report/svg.js";
import { t } from "report/texts.js";
import { ROOT, childrenOf, cutTree, heightOf, leavesBelow, numLeaves } from "report/tree.js";
import { shortTitleOf, titleOf } from "report/words.js";

const MOST_LEAVES = 60;
const MOST_WITH_TEXT = 20;  // The text of more leaves would be cut off.
const WIDTH = 1000, HEIGHT = 198, BOTTOM = 42, TOP = 6;

export function drawDendrogram(k) {
  const place = document.getElementById("dendrogram");
  if (!place.closest("details").open) return;
  const nodes = cutTree(Math.min(k, MOST_LEAVES));
  const leaf = new Set(nodes), step = WIDTH / nodes.length;
  const highest = heightOf(ROOT) || 1;
  const y = (height) => TOP + (1 - height / highest) * (HEIGHT - BOTTOM - TOP);
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" });
  const links = document.createElement("div");
  links.className = nodes.length > MOST_WITH_TEXT ? "leaves narrow" : "leaves";

  // Draws what is below a node, leaves from left to right, and returns where a line from above meets it.
  function drawBranch(node) {
    if (leaf.has(node)) {
      const x = (links.children.length + 0.5) * step;
      links.append(linkTo(leavesBelow(node)));
      return { x, y: HEIGHT - BOTTOM };
    }
    const [a, b] = childrenOf(node).map(drawBranch), joint = y(heightOf(node));
    plot.append(svg("path", { d: `M${a.x},${a.y}V${joint}H${b.x}V${b.y}` }));
    return { x: (a.x + b.x) / 2, y: joint };
  }
  if (nodes.length > 1) drawBranch(ROOT);

  // Half way between the last merge that is undone and the next one.
  const undone = k > 1 ? heightOf(2 * numLeaves - k) : highest, next = heightOf(2 * numLeaves - k - 1);
  const cutLine = y((undone + next) / 2);
  plot.append(svg("line", { class: "here", x1: 0, x2: WIDTH, y1: cutLine, y2: cutLine }));
  place.replaceChildren(plot, links);
  document.getElementById("dendrogram-sample").textContent = k > MOST_LEAVES ? t("dendrogram_sample", { n: MOST_LEAVES, all: k }) : "";
}

function linkTo(images) {
  const labels = currentLabels(), cluster = labels.of[images[0]];
  const link = document.createElement("a"), title = document.createElement("b");
  link.href = `#cluster-${cluster}`;
  link.title = t("branch", { n: images.length, title: titleOf(labels, cluster) });
  link.setAttribute("aria-label", link.title);
  title.textContent = shortTitleOf(labels, cluster);
  link.append(title, images.length);
  link.style.setProperty("--hue", hueOf(cluster));
  return link;
}
