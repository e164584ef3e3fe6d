// Buttons that are written as HTML: a click on [data-what] becomes the event `act` with what stands on the button.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-what]");
  if (button && element.contains(button) && !button.disabled) trigger("act", { ...button.dataset });
});
