// Chips: a click goes from "not asked" over "wanted" and "not wanted" back; arrow keys go from chip to chip.
const chips = () => [...element.querySelectorAll(".chip")];
const strengthOf = (chip) => parseFloat(chip.dataset.strength) || 0;

function set(chip, strength) {
  chip.dataset.strength = strength;
  chip.className = "chip" + (strength < 0 ? " denied" : strength > 0 ? " lit" : "");
  chip.setAttribute("aria-pressed", strength ? "true" : "false");
  chip.textContent = (strength < 0 ? "not " : "") + chip.dataset.label;
}

// What a wanted chip excludes gives way: the other side of it, and others of its group unless they leave room.
function makeRoom(chip) {
  let room = 1;
  for (const other of chips()) {
    if (other === chip || other.dataset.group !== chip.dataset.group || strengthOf(other) <= 0) continue;
    if (other.dataset.attribute === chip.dataset.attribute || strengthOf(other) === 1) set(other, 0);
    else room -= strengthOf(other);
  }
  if (room < 0.1) {
    for (const other of chips()) {
      if (other !== chip && other.dataset.group === chip.dataset.group && strengthOf(other) > 0) set(other, 0);
    }
    room = 1;
  }
  return Math.round(room * 100) / 100;
}

function paint(section) {
  const wanted = [...section.querySelectorAll(".chip")].filter((chip) => strengthOf(chip) > 0);
  const count = section.querySelectorAll(".chip.lit, .chip.denied").length;
  section.querySelector(".on").textContent = count || "";
  const place = section.querySelector(".strengths");
  place.replaceChildren(...wanted.map((chip) => {
    const percent = Math.round(strengthOf(chip) * 100);
    const label = document.createElement("label");
    label.className = "strength";
    label.dataset.label = chip.dataset.label;
    const name = document.createElement("span");
    name.textContent = chip.dataset.label;
    const range = document.createElement("input");
    Object.assign(range, { type: "range", min: 10, max: 100, step: 5, value: percent });
    range.setAttribute("aria-label", "how " + chip.dataset.label + ", percent");
    const output = document.createElement("output");
    output.textContent = percent + " %";
    label.append(name, range, output);
    return label;
  }));
}

function tell() {
  const shown = {};
  for (const chip of chips()) if (strengthOf(chip)) shown[chip.dataset.label] = strengthOf(chip);
  trigger("chosen", { chips: shown });
}

element.addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (!chip) return;
  const now = strengthOf(chip);
  if (now > 0) set(chip, chip.dataset.deniable === "1" ? -1 : 0);
  else if (now < 0) set(chip, 0);
  else set(chip, makeRoom(chip));
  element.querySelectorAll("details").forEach(paint);
  tell();
});

element.addEventListener("input", (event) => {
  const label = event.target.closest(".strength");
  if (!label) return;
  const chip = chips().find((other) => other.dataset.label === label.dataset.label);
  chip.dataset.strength = event.target.value / 100;
  label.querySelector("output").textContent = event.target.value + " %";
});
element.addEventListener("change", (event) => { if (event.target.closest(".strength")) tell(); });

element.addEventListener("keydown", (event) => {
  const chip = event.target.closest(".chip");
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!chip || !step) return;
  event.preventDefault();
  const row = [...chip.parentElement.querySelectorAll(".chip")];
  row[(row.indexOf(chip) + step + row.length) % row.length].focus();
});
// What is written, pasted, dictated or deleted in the box, once it rests for a moment.
let resting = 0;
document.addEventListener("input", (event) => {
  if (!event.target.matches?.("#imagine-words textarea, #imagine-words input")) return;
  clearTimeout(resting);
  resting = setTimeout(() => trigger("written", { words: event.target.value }), 120);
});
element.dataset.ready = "yes";
