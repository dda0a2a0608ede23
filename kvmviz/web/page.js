"use strict";
{
  const all = (query, at = document) => [...at.querySelectorAll(query)];
  const root = document.documentElement, scenes = all("section"), live = document.getElementById("live");
  const talking = () => root.classList.contains("talk");
  const settle = moving => all(".kv-figure").forEach(figure => kvmviz.settle(figure, moving));

  // #turn,big,widened,r-u32-hsr is a scene and what is chosen in it; a leading "talk" is the talk.
  const chosen = scene => all(":checked", scene).map(input => input.value);
  const link = scene => history.replaceState(null, "", "#" + [...(talking() ? ["talk"] : []), scene.id, ...chosen(scene)]);
  function reset(scene) {
    for (const input of all("input", scene)) input.checked = input.defaultChecked;
  }
  function follow() {
    const words = decodeURIComponent(location.hash.slice(1)).split(",");
    const talk = words[0] === "talk" && words.shift(), scene = scenes.find(one => one.id === words[0]);
    if (scene) {
      reset(scene);
      for (const input of all("input", scene)) if (words.includes(input.value)) input.checked = true;
    }
    if (talk) enter(scene ?? scenes[0]);
    else if (scene) { leave(); scene.scrollIntoView(); }
    settle(false);
  }
  addEventListener("hashchange", follow);
  addEventListener("change", ({target}) => {
    const scene = target.closest("section");
    for (const figure of all(".kv-figure", scene)) kvmviz.settle(figure);
    say(scene);
    link(scene);
  });
  function say(scene) {
    const board = all(".kv-board", scene).find(one => one.offsetParent);
    live.textContent = board ? ["strong", ".effect"].map(part => board.querySelector(part).textContent).join(". ") : "";
  }

  // The talk: a press chooses the next value of the scene, or goes on to the next scene.
  let at = 0, step = 0, notes = null, began = 0;
  const steps = () => (scenes[at].dataset.steps ?? "").split(" ").filter(Boolean);
  function enter(scene) {
    began ||= Date.now();
    root.classList.add("talk");
    at = scenes.indexOf(scene);
    step = 0;
    place();
  }
  function leave() {
    if (!talking()) return;
    root.classList.remove("talk");
    scenes[at].scrollIntoView();
    settle(false);
    link(scenes[at]);
  }
  function place(moving = false) {
    scenes.forEach((scene, n) => scene.classList.toggle("now", n === at));
    settle(moving);
    say(scenes[at]);
    link(scenes[at]);
    tell();
  }
  const wanted = value => all("input", scenes[at]).find(one => one.value === value);
  function go(by) {
    const stays = step + by >= 0 && step + by <= steps().length;
    if (!stays && !scenes[at + by]) return;
    if (!stays) at += by;
    step = stays ? step + by : by > 0 ? 0 : steps().length;
    reset(scenes[at]);
    for (const value of steps().slice(0, step)) wanted(value).checked = true;
    place(stays);
  }

  // The speaker's notes, in a window of their own.
  function tell() {
    if (!notes || notes.closed) return;
    const page = notes.document, scene = scenes[at];
    const left = scenes.slice(at).reduce((sum, one) => sum + Number(one.dataset.minutes), 0);
    const lines = {
      clock: `${new Date().toTimeString().slice(0, 5)} · ${Math.floor((Date.now() - began) / 60000)} min spoken, ${left} min from here`,
      place: `${at + 1}/${scenes.length} · step ${step}/${steps().length}`,
      title: scene.querySelector("h2").textContent, said: scene.querySelector("aside").textContent,
      next: `next: ${wanted(steps()[step])?.nextSibling.textContent ?? scenes[at + 1]?.querySelector("h2").textContent ?? "the end"}`,
    };
    for (const [id, words] of Object.entries(lines)) page.getElementById(id).textContent = words;
  }
  function open_notes() {
    notes = open("", "kvmviz-notes", "width=760,height=520");
    if (!notes) return;
    notes.document.title = "notes";
    notes.document.body.innerHTML = "<style>body{font:22px/1.4 sans-serif;margin:1em}</style><p id=clock></p><p id=place></p><h1 id=title></h1><p id=said></p><p id=next></p>";
    notes.addEventListener("keydown", key);
    tell();
  }
  setInterval(tell, 20000);

  const keys = {
    ArrowRight: () => go(1), PageDown: () => go(1), " ": () => go(1), ArrowLeft: () => go(-1), PageUp: () => go(-1),
    Escape: leave, n: open_notes,
    f: () => document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen().catch(() => {}),
  };
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // Among the options of a guess arrow keys only move: what is chosen is told at once.
    const options = all("input", event.target.closest?.(".guess") ?? document.createElement("p"));
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (by && options.length) {
      event.preventDefault();
      options[options.indexOf(event.target) + by]?.focus();
      return;
    }
    if (!talking()) {
      if (event.key === "t") enter(nearest());
      return;
    }
    const radio = event.target.matches?.("input") && event.key.startsWith("Arrow");
    if (keys[event.key] && !radio) {
      event.preventDefault();
      keys[event.key]();
    }
  }
  const nearest = () => scenes.find(scene => scene.getBoundingClientRect().bottom > 80) ?? scenes[0];
  addEventListener("keydown", key);
  const button = document.getElementById("talk");
  button.hidden = false;
  button.onclick = () => { enter(scenes[0]); document.activeElement.blur(); };
  // After a click in the talk the keys step again, and do not turn what was clicked.
  addEventListener("click", event => { if (event.detail && talking()) document.activeElement.blur(); });
  addEventListener("resize", () => settle(false));
  follow();
}
