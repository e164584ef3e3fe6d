// What is handed out: a file that was just packed is saved at once, and the link to the sheet can be copied.
element.addEventListener("click", (event) => {
  const act = event.target.closest("[data-what]");
  if (act) trigger("act", { ...act.dataset });
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = element.querySelector("input");
  field.value = location.href; field.select();
  const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy link"; }, 2000); };
  if (navigator.clipboard && window.isSecureContext) navigator.clipboard.writeText(field.value).then(done, () => document.execCommand("copy"));
  else { document.execCommand("copy"); done(); }
});
let saved = "";
watch("value", () => {
  const field = element.querySelector("input");
  if (field) field.value = location.href;
  const file = element.querySelector("a[download]");
  if (file && file.href !== saved) { saved = file.href; file.click(); }
});
