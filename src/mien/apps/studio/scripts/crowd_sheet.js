// The contact sheet: clicks, keys, and the address of the page.
const face = (place) => element.querySelector(`.face[data-place="${place}"]`);
let last = 0;

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-what]");
  if (button && !button.disabled) trigger("act", { ...button.dataset });
});
element.addEventListener("focusin", (event) => {
  if (event.target.dataset.place !== undefined) last = Number(event.target.dataset.place);
});
element.addEventListener("keydown", (event) => {
  const here = event.target.closest("[data-place]");
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const place = Number(here.dataset.place);
  const frames = element.querySelectorAll(".frame");
  const tops = [...frames].map((frame) => frame.offsetTop);
  const columns = Math.max(tops.filter((top) => top === tops[0]).length, 1);
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -place, End: frames.length - 1 - place };
  const whats = { l: "lock", r: "roll", v: "vary" };
  if (event.key in steps) {
    const next = place + steps[event.key];
    if (next >= 0 && next < frames.length) {
      face(place).tabIndex = -1; face(next).tabIndex = 0; face(next).focus();
    }
    event.preventDefault();
  } else if (event.key.toLowerCase() in whats) {
    trigger("act", { what: whats[event.key.toLowerCase()], place: String(place) });
    event.preventDefault();
  }
});
watch("value", () => {
  const sheet = element.querySelector(".sheet");
  if (sheet && sheet.dataset.query) {
    history.replaceState(null, "", "?" + sheet.dataset.query);
    const link = document.querySelector("#crowd-handout input");
    if (link) link.value = location.href;
  }
  const faces = [...element.querySelectorAll(".face")];
  const reached = faces[last] || faces[0];
  faces.forEach((one) => { one.tabIndex = one === reached ? 0 : -1; });
});
