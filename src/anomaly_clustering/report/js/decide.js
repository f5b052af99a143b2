// Mouse and keys in, decisions out: naming, merging, splitting, selecting and moving images, undoing.

const selected = new Set();
let here = null;  // The figure that had the focus last.
let from = null;  // Where a range of images starts.

main.addEventListener("focusin", ({ target }) => {
  here = target.closest("figure") ?? here;
  if (target.closest("figure") && !selected.size) from = here;
});

function select(images, on) {
  for (const i of images) {
    on ? selected.add(i) : selected.delete(i);
    figures[i].classList.toggle("selected", on);
    figures[i].querySelector(".pick").checked = on;
  }
  byId("selection").hidden = !selected.size;
  byId("selection-text").textContent = `${plural(selected.size, "image")} selected`;
  drawMap();
}

function unselect() {
  select([...selected], false);
}

function moveTo(chosen, into) {
  const images = chosen.filter((i) => labels.of[i] !== into);
  if (!images.length) return say(`Already in ${titleOf(labels, into)}`);
  const next = here && neighbour(here, images);
  unselect();
  decide({ do: "move", images, into }, `Moved ${plural(images.length, "image")}`);
  (next ?? figures[images[0]]).querySelector(".tile").focus({ preventScroll: true });
}

// Where the focus goes when images leave a gallery: to the next one that stays.
function neighbour(figure, leaving) {
  const all = [...figure.parentElement.children], at = all.indexOf(figure);
  const stays = (other) => !leaving.includes(Number(other.dataset.index));
  return all.slice(at).find(stays) ?? all.slice(0, at).reverse().find(stays);
}

function toggleUnsure(images) {
  const value = !images.every((i) => labels.unsure.has(i));
  const said = `${plural(images.length, "image")} ${value ? "marked as" : "no longer"} unsure`;
  decide({ do: "unsure", images, value }, said);
}

const subject = (i) => (selected.has(i) ? [...selected] : [i]);

// Clusters.

main.addEventListener("change", ({ target }) => {
  if (target.matches(".naming")) {
    const cluster = clusterOf(target), name = target.value.trim();
    if (name === (labels.names.get(cluster) ?? "")) return;
    const before = titleOf(labels, cluster);
    const said = name ? `Named ${before} ${name}` : `${before} has no name any more`;
    decide({ do: "name", cluster, name }, said);
  }
  if (target.matches(".into")) target.nextElementSibling.disabled = target.value === "";
  if (target.matches(".pick")) select([Number(target.closest("figure").dataset.index)], target.checked);
});

main.addEventListener("focusin", ({ target }) => {
  if (!target.matches(".into") || target.value !== "") return;
  target.replaceChildren(new Option("Merge into …", ""), ...clusterOptions(clusterOf(target)));
});

function merge(from, into) {
  const { nextElementSibling, previousElementSibling } = sections.get(from);
  const stays = [nextElementSibling, previousElementSibling].find((other) => other?.matches("[data-cluster]"));
  decide({ do: "merge", from, into }, `Merged ${titleOf(labels, from)} into ${titleOf(labels, into)}`);
  stays.querySelector(".naming").focus({ preventScroll: true });
}

main.addEventListener("click", (event) => {
  const { target } = event;
  if (target.matches("[data-do='split']")) {
    const cluster = clusterOf(target), [, part] = partsOf(members(labels, cluster));
    const said = `Split ${titleOf(labels, cluster)}: ${plural(part.length, "image")} made Cluster ${free(labels)}`;
    decide({ do: "split", cluster }, said);
  }
  if (target.matches("[data-do='merge']")) merge(clusterOf(target), Number(target.previousElementSibling.value));
  const tile = target.closest(".tile");
  if (!tile) return;
  const figure = tile.closest("figure"), i = Number(figure.dataset.index);
  if (event.shiftKey) selectRange(figure);
  else if (event.ctrlKey || event.metaKey) select([i], !selected.has(i));
  else openView(i);
});

main.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches(".naming")) {
    event.target.blur();
    event.target.focus();
  }
  const tile = event.target.closest(".tile");
  if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
  const figure = tile.closest("figure"), i = Number(figure.dataset.index);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(figure), ArrowUp: -columns(figure) }[event.key];
  const keys = {
    " ": () => select([i], !selected.has(i)),
    x: () => select([i], !selected.has(i)),
    a: () => select(imagesIn(figure.parentElement), true),
    u: () => {
      toggleUnsure(subject(i));
      tile.focus();
    },
    m: () => {
      select([i], true);
      byId("move-to").focus();
    },
    n: () => figure.closest("section").querySelector(".naming").focus(),
    Enter: () => openView(i),
    Escape: unselect,
  };
  if (step) focusTile(figure, step);
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

function columns(figure) {
  return getComputedStyle(figure.parentElement).gridTemplateColumns.split(" ").length;
}

function focusTile(figure, step) {
  const all = [...figure.parentElement.children];
  const next = all[all.indexOf(figure) + step]?.querySelector(".tile");
  if (!next) return;
  figure.querySelector(".tile").tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function selectRange(figure) {
  const all = [...figure.parentElement.children];
  const [first, last] = [all.indexOf(from), all.indexOf(figure)].sort((a, b) => a - b);
  select(all.slice(Math.max(0, first), last + 1).map((other) => Number(other.dataset.index)), true);
}

// The bar of the selection.

byId("move").addEventListener("click", () => {
  const { value } = byId("move-to");
  moveTo([...selected], value === "new" ? null : Number(value));
});
byId("mark-unsure").addEventListener("click", () => toggleUnsure([...selected]));
byId("unselect").addEventListener("click", leaveSelection);
byId("selection").addEventListener("keydown", ({ key, target }) => {
  if (key === "Escape") leaveSelection();
  if (key === "Enter" && target.id === "move-to") byId("move").click();
});

// The bar goes away with the focus in it.
function leaveSelection() {
  unselect();
  here?.querySelector(".tile").focus({ preventScroll: true });
}

// Dragging to a gallery or to the navigation.

main.addEventListener("dragstart", (event) => {
  const i = Number(event.target.closest?.("figure")?.dataset.index);
  if (Number.isNaN(i)) return;
  if (!selected.has(i)) {
    unselect();
    select([i], true);
  }
  event.dataTransfer.setData("text/plain", `${selected.size}`);
  event.dataTransfer.effectAllowed = "move";
});
for (const place of [main, strip]) {
  const targetOf = (event) => (selected.size ? event.target.closest?.("[data-cluster]") : null);
  place.addEventListener("dragover", (event) => {
    const target = targetOf(event);
    for (const old of document.querySelectorAll(".drop")) if (old !== target) old.classList.remove("drop");
    if (!target) return;
    event.preventDefault();
    target.classList.add("drop");
  });
  place.addEventListener("drop", (event) => {
    const target = targetOf(event);
    if (!target) return;
    event.preventDefault();
    const into = clusterOf(target);
    moveTo([...selected], into);
    unselect();
  });
}
document.addEventListener("dragend", () => {
  for (const old of document.querySelectorAll(".drop")) old.classList.remove("drop");
});

// Undo.

byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", redo);
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.matches("input:not([type=range], [type=checkbox])")) return;
  const key = event.key.toLowerCase();
  if (key === "z" || key === "y") {
    event.preventDefault();
    key === "y" || event.shiftKey ? redo() : undo();
  }
});
