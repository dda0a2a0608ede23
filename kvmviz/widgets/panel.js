// Run once a widget, with `this` an element in its box. ipywidgets has no trait for any of these.
const box = this.closest(".kvmviz"), done = "kvmvizWired" in box.dataset;
box.dataset.kvmvizWired = "";
for (const said of box.querySelectorAll(".kvmviz-spoken")) said.setAttribute("aria-live", "polite");
// Rows of buttons and options get names and states that a screen reader tells.
const rows = ".widget-toggle-buttons, .widget-radio";
const name = group => {
  group.setAttribute("role", group.matches(".widget-radio") ? "radiogroup" : "group");
  const label = group.querySelector(".widget-label");
  group.setAttribute("aria-label", label.textContent || label.title);
  for (const one of group.querySelectorAll("button"))
    one.setAttribute("aria-pressed", one.classList.contains("mod-active"));
};
const all = () => {
  box.querySelectorAll(rows).forEach(name);
  for (const one of box.querySelectorAll("[role=slider]"))
    one.setAttribute("aria-label", one.closest(".widget-slider").querySelector(".widget-label").textContent);
  for (const one of box.querySelectorAll(".kvmviz-more"))
    one.setAttribute("aria-expanded", one.classList.contains("mod-active"));
};
// What lies below stays where it is: a view is as high as it ever was with its words folded.
const settle = view => {
  // Read before anything is written: the page is laid out once.
  const high = view.firstElementChild?.scrollHeight ?? 0;
  kvmviz.settle(view);
  if (high > (parseFloat(view.style.minHeight) || 0) && !view.querySelector("details[open]"))
    view.style.minHeight = `${high}px`;
};
if (!done) {
  // Keys pressed in a widget stay there: without this, JupyterLab takes an x in a list of choices
  // for its command to cut the cell.
  box.addEventListener("focusin", ({target}) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
  // Arrow keys choose in a row of buttons. Among the options of a guess they only move: what is
  // chosen is told at once, and the next one would not be a guess any more.
  box.addEventListener("keydown", event => {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const row = event.target.closest(rows);
    if (!by || !row) return;
    const all = [...row.querySelectorAll(":is(button, input):enabled")];
    const next = all[all.indexOf(event.target) + by];
    next?.focus();
    if (next?.matches("button")) next.click();
    event.preventDefault();
    event.stopPropagation();
  });
  new MutationObserver(all).observe(
    box, {subtree: true, childList: true, attributes: true, attributeFilter: ["class"]});
  for (const view of box.querySelectorAll(".kvmviz-view"))
    new MutationObserver(() => settle(view)).observe(view, {subtree: true, childList: true});
}
all();
box.querySelectorAll(".kvmviz-view").forEach(settle);
