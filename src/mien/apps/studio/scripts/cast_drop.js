// A cast list: a CSV that was dropped on the tab or chosen goes to `casts`; what cannot be read is listed cell by cell.
const input = element.querySelector("input");
const place = element.querySelector(".drop");
const notice = element.querySelector(".notice");
const list = element.querySelector(".cells");
const MOST = 200;
const say = (words, kind) => {
  notice.textContent = words; notice.className = "notice " + (kind || "");
  notice.setAttribute("role", kind === "wrong" ? "alert" : "status");
};

function show(cells) {
  list.hidden = !cells.length;
  list.replaceChildren(...cells.slice(0, MOST).map((cell) => {
    const line = document.createElement("li");
    line.textContent = `Row ${cell.row}, ${cell.column}: ${cell.message}`;
    return line;
  }));
}

async function send(file) {
  say("Reading the list", "busy"); show([]);
  try {
    const answer = await fetch("casts", {
      method: "POST", body: file,
      headers: { "Content-Type": "application/octet-stream", "X-Name": encodeURIComponent(file.name || "the list") },
    });
    const json = (answer.headers.get("content-type") || "").includes("json");
    const told = json ? await answer.json() : { error: await answer.text() };
    if (answer.ok) { say(""); trigger("cast", { token: told.token }); } else {
      const cells = told.cells || [];
      const number = cells.length === 1 ? "1 cell" : `${cells.length} cells`;
      say(cells.length ? `${told.name}: ${number} cannot be read; no face was made.` : told.error, "wrong");
      show(cells);
    }
  } catch (error) { say("The studio does not answer. Is it still running?", "wrong"); }
  input.value = "";
}

input.addEventListener("change", () => { if (input.files.length) send(input.files[0]); });
const tab = element.closest("#crowd") || place; // anywhere on the tab
tab.addEventListener("dragover", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault(); place.classList.add("over");
});
tab.addEventListener("dragleave", (event) => { if (!tab.contains(event.relatedTarget)) place.classList.remove("over"); });
tab.addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length) return;
  event.preventDefault(); place.classList.remove("over"); send(event.dataTransfer.files[0]);
});
element.dataset.ready = "yes";
