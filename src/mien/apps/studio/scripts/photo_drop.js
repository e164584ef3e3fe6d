// One place for photos: dropped, pasted or chosen files go to `photos` as they are; the answer is a token each.
const input = element.querySelector("input");
const place = element.querySelector(".drop");
const notice = element.querySelector(".notice");
const say = (words, kind) => { notice.textContent = words; notice.className = "notice " + (kind || ""); };

async function send(files) {
  const photos = [...files].filter((file) => !/^(text|video|audio)\//.test(file.type)); // the studio looks at its bytes
  if (!photos.length) { say("That is no photo. Allowed: JPEG, PNG, WebP, HEIC and others.", "wrong"); return; }
  const chosen = input.multiple ? photos : photos.slice(0, 1);
  const tokens = [], wrong = [], remarks = [];
  for (const [number, file] of chosen.entries()) {
    say(chosen.length > 1 ? `Reading photo ${number + 1} of ${chosen.length}` : "Reading the photo", "busy");
    try {
      const answer = await fetch("photos", {
        method: "POST", body: file,
        headers: { "Content-Type": "application/octet-stream", "X-Name": encodeURIComponent(file.name || "pasted") },
      });
      const told = answer.headers.get("content-type").includes("json") ? await answer.json() : { error: await answer.text() };
      if (answer.ok) {
        tokens.push(told.token);
        if (told.remark) remarks.push((chosen.length > 1 ? file.name + ": " : "") + told.remark + ".");
      } else wrong.push((chosen.length > 1 ? file.name + ": " : "") + told.error);
    } catch (error) {
      wrong.push("The studio does not answer. Is it still running?");
    }
  }
  const sentence = [...wrong, ...remarks].join(" ");
  say(sentence.charAt(0).toUpperCase() + sentence.slice(1), wrong.length ? "wrong" : "");
  input.value = "";
  if (tokens.length) trigger("photos", { tokens });
}

input.addEventListener("change", () => { if (input.files.length) send(input.files); });
place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
place.addEventListener("dragleave", () => place.classList.remove("over"));
place.addEventListener("drop", (event) => {
  event.preventDefault(); place.classList.remove("over");
  if (event.dataTransfer.files.length) send(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  const files = event.clipboardData ? event.clipboardData.files : [];
  if (files.length && element.offsetParent !== null) { event.preventDefault(); send(files); }
});
