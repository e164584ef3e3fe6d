// One trial after another: a cross, a face (for as long as the study says), an answer. Times are those of the screen's
// own clock (the time stamp of the first frame that can show the face) and of the input event.
"use strict";

const study = document.getElementById("study");
const about = JSON.parse(study.dataset.about);
const sides = study.dataset.left === "real" ? { left: "real", right: "generated" } : { left: "generated", right: "real" };
const at = (id) => document.getElementById(id);
const CROSS_MS = 500, FEEDBACK_MS = 1600, FRAME_MS = 17, TRIES = 5;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const frame = () => new Promise((done) => requestAnimationFrame(done));
const pictures = new Map();

function fetched(id) {
  if (id && !pictures.has(id)) {
    const image = new Image();
    image.alt = "";
    image.draggable = false;
    image.src = `picture/${id}`;
    const ready = image.decode().then(() => image);
    ready.catch(() => pictures.delete(id));
    pictures.set(id, ready);
  }
  return pictures.get(id);
}

function overlay(title, text, button) {
  at("over-title").textContent = title;
  at("over-text").textContent = text;
  at("over-go").textContent = button;
  at("over").hidden = false;
  at("over-go").focus();
  return new Promise((done) => {
    at("over-go").onclick = () => { at("over").hidden = true; done(); };
  });
}

// Ask until it works: what was answered is never lost, and an answer that arrived twice counts once.
async function surely(action) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await action();
    } catch (error) {
      if (error.final) throw error;
      if (tried % TRIES === 0) await overlay("No connection", "Your answers so far are kept.", "Try again");
      else await wait(250 * 2 ** (tried % TRIES));
    }
  }
}

function post(path, body) {
  return surely(async () => {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (answer.ok) return answer.json();
    const error = new Error(`${path}: ${answer.status}`);
    error.final = answer.status < 500 && answer.status !== 429 && answer.status !== 408;
    throw error;
  });
}

const picture = (id) => surely(() => fetched(id));

// What the next key, finger or mouse says.
function answered() {
  const buttons = { left: at("left"), right: at("right") };
  return new Promise((done) => {
    const stop = new AbortController();
    const say = (side, time, way) => {
      stop.abort();
      for (const [name, button] of Object.entries(buttons)) {
        button.classList.toggle("chosen", name === side);
        button.disabled = true;
      }
      done({ said: sides[side], time, way });
    };
    for (const [side, button] of Object.entries(buttons)) {
      button.disabled = false;
      const pressed = (event) => { if (event.button === 0) say(side, event.timeStamp, event.pointerType === "mouse" ? "mouse" : "touch"); };
      button.addEventListener("pointerdown", pressed, { signal: stop.signal });
      button.addEventListener("click", (event) => say(side, event.timeStamp, "key"), { signal: stop.signal });
    }
    document.addEventListener("keydown", (event) => {
      if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
      const side = { f: "left", F: "left", ArrowLeft: "left", j: "right", J: "right", ArrowRight: "right" }[event.key];
      if (side) { event.preventDefault(); say(side, event.timeStamp, "key"); }
    }, { signal: stop.signal });
  });
}

function card() {
  const box = document.createElement("div");
  box.className = "card";
  box.innerHTML = "<span>A test of attention.<br>Please answer</span><strong>Real</strong>";
  return box;
}

// Show one thing and wait for the answer; the result is what the server wants to know of it.
async function ask(what, limited) {
  const face = at("face");
  face.replaceChildren();
  for (const side of ["left", "right"]) at(side).classList.remove("chosen");
  at("cross").hidden = false;
  await wait(CROSS_MS);
  const mask = limited ? await picture(about.masks[Math.floor(Math.random() * about.masks.length)]) : null;
  await frame();
  at("cross").hidden = true;
  face.replaceChildren(what);
  const onset = await frame();
  let interrupted = document.hidden, over = false, covered = null;
  const looked = () => { interrupted = interrupted || document.hidden; };
  document.addEventListener("visibilitychange", looked);
  const reply = answered();
  if (limited) {
    (async () => {
      let now = onset;
      while (!over && now - onset < about.exposure_ms - FRAME_MS / 2) now = await frame();
      if (!over) {
        face.replaceChildren(mask);
        covered = now - onset;
      }
    })();
  }
  const { said, time, way } = await reply;
  over = true;
  document.removeEventListener("visibilitychange", looked);
  const reaction = Math.max(0, time - onset);
  return { said, reaction_ms: reaction, exposed_ms: covered ?? reaction, interrupted, way };
}

function progress(place) {
  at("bar").setAttribute("aria-valuenow", place);
  at("bar").firstElementChild.style.width = `${100 * place / about.total}%`;
  at("count").textContent = `${Math.min(place + 1, about.total)} of ${about.total}`;
}

async function practise() {
  for (const [number, trial] of about.practice.entries()) {
    at("count").textContent = `Practice ${number + 1} of ${about.practice.length}`;
    fetched(about.practice[number + 1]?.picture);
    const { said } = await ask(await picture(trial.picture), about.exposure_ms !== null);
    const right = (said === "real") === trial.real;
    at("face").replaceChildren(await picture(trial.picture));
    at("say").textContent = `${right ? "Right" : "Not quite"}: ${trial.real ? "a photograph" : "made by a program"}.`;
    await wait(FEEDBACK_MS);
    at("say").textContent = "";
    at("face").replaceChildren();
  }
  if (about.practice.length) await overlay("Now in earnest", "From here on nobody says which answers are right.", "Start");
}

async function run() {
  await practise();
  for (let place = about.place, done = false; !done; ) {
    progress(place);
    const trial = await post("api/show", { place });
    if (trial.done) break;
    place = trial.place;
    progress(place);
    const what = trial.card ? card() : await picture(trial.picture);
    fetched(trial.then);
    // A card is read, not recognised: it stays.
    const reply = await ask(what, about.exposure_ms !== null && !trial.card);
    pictures.delete(trial.picture);
    ({ place, done } = await post("api/answer", { place, ...reply }));
    at("face").replaceChildren();
    if (!done && place % about.rest_every === 0) {
      progress(place);
      await overlay("A short rest", `${place} of ${about.total} are done. Go on when you like.`, "Go on");
    }
  }
  progress(about.total);
  location.replace("done");
}

run().catch(() => overlay("That did not work", "Your answers so far are kept.", "To the first page").then(() => location.replace("./")));
