// Keys for what the buttons do. Everything works without this file.
"use strict";
const form = document.getElementById("say");
const age = document.getElementById("age");

function valueOf(fieldset) {
  const checked = fieldset.querySelector("input:checked");
  return checked ? checked.value : (fieldset.querySelector("input:not([type=radio])")?.value ?? "").trim();
}

function show() { // what was changed, and what the first button means now
  let changed = false;
  for (const fieldset of form.querySelectorAll("fieldset")) {
    const differs = valueOf(fieldset) !== fieldset.dataset.original;
    fieldset.classList.toggle("changed", differs);
    changed ||= differs;
  }
  form.querySelector("button.main .word").textContent = changed ? "Save the correction" : "Accept";
}

function press(button) {
  if (button && !button.disabled) button.click();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const key = event.key.toLowerCase();
  const typing = event.target === age;
  if (/^[0-9.]$/.test(key) && age) {
    if (!typing) { age.focus(); age.select(); } // the digit itself arrives as usual
    return;
  }
  if (key === "escape" && form) { form.reset(); age?.blur(); show(); return; }
  if (key.length !== 1 || event.target.type === "text" && !typing || event.target.type === "password" || event.target.id === "name") return;
  const control = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!control) { if (typing && !/[0-9.]/.test(key)) event.preventDefault(); return; }
  event.preventDefault();
  if (event.repeat) return; // a key that is held answers one face, not ten
  if (control.type === "radio") { control.checked = true; show(); } else press(control);
}

document.addEventListener("keydown", onKey);
if (form) {
  form.addEventListener("input", show);
  form.addEventListener("submit", () => setTimeout(() => { // once: the page that comes has the next face
    for (const button of document.querySelectorAll("button")) button.disabled = true;
  }));
  document.addEventListener("keydown", (event) => {
    const elsewhere = event.target === document.body || event.target.type === "radio";
    if (event.key === "Enter" && elsewhere && !event.repeat) { event.preventDefault(); press(form.querySelector("button.main")); }
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  show();
}
