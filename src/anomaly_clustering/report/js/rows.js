// The images of a gallery that is open, in rows, of which only those near the window are on the page.

const MOST_AT_ONCE = 200;  // So many need no rows of their own.
const GAP = 4;  // As page.css has it.
const NEAR = 0.5, MADE = 1.5;  // Heights of a window, above it and below: what must be there, and what is made then.

const open = new Map();  // Of a gallery: its images, who puts some of them in, and which rows are there.
let waits = false;

export const needsRows = (images) => images.length > MOST_AT_ONCE;

export function openRows(gallery, images, put) {
  const before = open.get(gallery);
  gallery.classList.add("rows");
  open.set(gallery, { images, put, height: before?.height ?? 0, first: 0, last: 0 });
  draw(gallery);
}

export function closeRows(gallery) {
  if (!open.delete(gallery)) return;
  gallery.classList.remove("rows");
  gallery.style.padding = gallery.style.gridAutoRows = "";
}

// The row of an image, by its place among those of the gallery, is put in wherever the window is.
export function bringRow(gallery, at) {
  if (open.has(gallery)) draw(gallery, at);
}

function draw(gallery, at = null) {
  const rows = open.get(gallery), columns = getComputedStyle(gallery).gridTemplateColumns.split(" ").length;
  if (!rows.height) {
    rows.put(rows.images.slice(0, 2 * columns));
    rows.height = tallest(gallery);
  }
  const { top } = gallery.getBoundingClientRect(), count = Math.ceil(rows.images.length / columns);
  const within = (row) => Math.min(Math.max(row, 0), count);
  const span = (around) => [
    Math.min(within(Math.floor((-top - around * innerHeight) / rows.height)), count - 1),
    Math.max(within(Math.ceil((-top + (1 + around) * innerHeight) / rows.height)), 1),
  ];
  const row = at === null ? null : Math.floor(at / columns);
  const needed = row === null ? span(NEAR) : [row, row + 1];
  if (columns === rows.columns && needed[0] >= rows.first && needed[1] <= rows.last) return;
  const half = Math.ceil(innerHeight / rows.height);
  const [first, last] = row === null || (span(MADE)[0] <= row && row < span(MADE)[1])
    ? span(MADE) : [within(row - half), within(row + half)];
  Object.assign(rows, { columns, first, last });
  gallery.style.gridAutoRows = `${rows.height - GAP}px`;
  gallery.style.padding = `${first * rows.height}px 0 ${(count - last) * rows.height}px`;
  rows.put(rows.images.slice(first * columns, last * columns));
  // Captions may have another line there.
  const height = tallest(gallery);
  if (height <= rows.height) return;
  Object.assign(rows, { height, last: 0 });
  draw(gallery, at);
}

function tallest(gallery) {
  return Math.max(1, ...[...gallery.children].map((figure) => figure.offsetHeight)) + GAP;
}

function follow({ type }) {
  if (type !== "scroll") for (const rows of open.values()) Object.assign(rows, { height: 0, last: 0 });
  if (waits || !open.size) return;
  waits = true;
  requestAnimationFrame(() => {
    waits = false;
    for (const gallery of open.keys()) if (gallery.isConnected) draw(gallery);
  });
}

addEventListener("scroll", follow, { passive: true });
addEventListener("resize", follow);
document.getElementById("size").addEventListener("input", follow);
