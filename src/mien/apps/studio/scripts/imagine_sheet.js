// A sheet of faces: a click, Enter or the space bar picks; arrow keys, Home and End go from face to face.
const tiles = () => [...element.querySelectorAll("button.tile")];

function columns() {
  const all = tiles();
  return all.filter((tile) => tile.offsetTop === all[0].offsetTop).length || 1;
}

function mark(tile) {
  for (const other of tiles()) {
    other.classList.toggle("picked", other === tile);
    other.setAttribute("aria-checked", other === tile ? "true" : "false");
    other.tabIndex = other === tile ? 0 : -1;
  }
}

element.addEventListener("click", (event) => {
  const tile = event.target.closest("button.tile");
  if (!tile) return;
  mark(tile);
  trigger("pick", { number: Number(tile.dataset.number) });
});

element.addEventListener("keydown", (event) => {
  const tile = event.target.closest("button.tile");
  if (!tile) return;
  const all = tiles(), at = all.indexOf(tile), wide = columns();
  const next = {
    ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + wide, ArrowUp: at - wide, Home: 0, End: all.length - 1,
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  if (all[next]) { tile.tabIndex = -1; all[next].tabIndex = 0; all[next].focus(); }
});

// What was made comes into sight: a new sheet from its status down, a picked face with what can be done with it.
const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
function show(place, block) {
  if (place) place.scrollIntoView({ block, behavior: still ? "auto" : "smooth" });
}
watch("value", () => {
  const { top } = element.getBoundingClientRect();
  if (tiles().length && element.id === "imagine-sheet" && (top < 0 || top > window.innerHeight * 0.6)) {
    show(document.querySelector("#imagine-status"), "start");
  }
});
element.addEventListener("click", (event) => {
  if (!event.target.closest("button.tile")) return;
  let tries = 0;
  const look = setInterval(() => {
    const panel = document.querySelector("#imagine-refine");
    if (panel && panel.offsetParent !== null) show(panel, "nearest");
    if (panel || ++tries > 20) clearInterval(look);
  }, 150);
});
element.dataset.ready = "yes";
