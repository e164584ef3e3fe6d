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
