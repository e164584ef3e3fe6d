// The slider between photo and portrait: a range input, so that keys, fingers and mice all move it.
element.addEventListener("input", (event) => {
  const compare = event.target.closest(".compare");
  if (compare) compare.style.setProperty("--at", event.target.value + "%");
});
element.dataset.ready = "yes";
