// The steps that led here, and the link.
element.addEventListener("click", async (event) => {
  const step = event.target.closest(".step");
  if (step) { trigger("goto", { at: Number(step.dataset.at) }); return; }
  const copy = event.target.closest(".copy");
  if (!copy) return;
  const address = element.querySelector(".link a").href;
  try {
    await navigator.clipboard.writeText(address);
    copy.textContent = "Copied";
  } catch (error) {
    window.prompt("Copy this address", address);
  }
  setTimeout(() => { copy.textContent = "Copy it"; }, 2000);
});
