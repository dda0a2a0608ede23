"use strict";
// Bytes with equal keys travel from where they were to where they are. Nothing is drawn here.
globalThis.kvmviz ??= (() => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const places = new WeakMap(); // of a figure: where each byte was when it last stood still
  const opened = new WeakMap(); // of a figure: whether its words are unfolded
  const shown = figure => [...figure.querySelectorAll(".kv-board")].find(board => board.offsetParent);

  function settle(figure, moving = true) {
    const board = shown(figure);
    if (!board) return;
    const words = board.querySelector("details");
    words.open = opened.get(figure) ?? words.open;
    words.ontoggle = () => opened.set(figure, words.open);
    const before = places.get(figure), now = new Map(), origin = board.getBoundingClientRect();
    const cells = [...board.querySelectorAll("button")];
    for (const cell of cells) {
      const {left, top} = cell.getBoundingClientRect();
      now.set(cell.name, [left - origin.left, top - origin.top]);
    }
    places.set(figure, now);
    for (const cell of cells) cell.tabIndex = cell.matches(".octet:first-child > :nth-child(1 of button)") ? 0 : -1;
    if (!before || !moving || calm.matches) return;
    for (const cell of cells) {
      const was = before.get(cell.name), [x, y] = now.get(cell.name);
      const how = {duration: 600, easing: "ease-in-out"};
      if (!was) cell.animate([{opacity: 0}, {opacity: 1}], how);
      else if (was[0] !== x) {
        const by = [was[0] - x, was[1] - y], lift = by[0] > 0 ? -18 : 18;
        cell.animate([{transform: `translate(${by[0]}px,${by[1]}px)`},
          {transform: `translate(${by[0] / 2}px,${by[1] / 2 + lift}px)`}, {transform: "none"}], how);
      }
    }
  }

  // The words of the byte that is pointed at are marked in the text twin; arrow keys walk the bytes.
  const row = /^ *\+(\d+)(?:\.\.\+(\d+))?  ([0-9a-f]{2}(?: [0-9a-f]{2})*)?/;
  function mark(cell) {
    const text = cell.closest(".kv-board").querySelector("pre").firstChild;
    const at = parseInt(cell.querySelector("s").textContent), found = [];
    let start = 0;
    for (const line of text.data.split("\n")) {
      const [, first, last, bytes = "00"] = row.exec(line) ?? [], end = last ?? +first + (bytes.length - 2) / 3;
      if (first <= at && at <= end) {
        const range = new Range();
        range.setStart(text, start);
        range.setEnd(text, start + line.length);
        found.push(range);
      }
      start += line.length + 1;
    }
    CSS.highlights?.set("kv-byte", new Highlight(...found));
  }
  function point({target}) {
    const cell = target.closest?.(".kv-board button");
    if (!cell) return;
    mark(cell);
    for (const other of cell.closest(".strip").querySelectorAll("button")) other.tabIndex = other === cell ? 0 : -1;
  }
  function walk(event) {
    const cell = event.target.closest?.(".kv-board button");
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!cell || !by) return;
    const cells = [...cell.closest(".strip").querySelectorAll("button")];
    cells[cells.indexOf(cell) + by]?.focus();
    event.preventDefault();
    event.stopPropagation();
  }
  window.addEventListener("focusin", point);
  window.addEventListener("pointerover", point);
  window.addEventListener("keydown", walk, true);
  return {settle};
})();
