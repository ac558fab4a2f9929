// Conveniences: all that is done here can be done without.
"use strict";

// Rows that are chosen: all of the page, a range with shift, and how many.
let lastChosen = null;

function boxes(form) {
  return [...form.querySelectorAll('input[type="checkbox"][name="item"]')];
}

function count(form) {
  const all = boxes(form);
  const chosen = all.filter((box) => box.checked).length;
  const whole = form.querySelector("[data-all]");
  form.querySelector("[data-count]").textContent = chosen ? `${chosen} chosen` : "";
  if (whole) {
    whole.checked = chosen > 0 && chosen === all.length;
    whole.indeterminate = chosen > 0 && chosen < all.length;
  }
}

document.addEventListener("click", (event) => {
  const box = event.target;
  const form = box.form;
  if (!(box instanceof HTMLInputElement) || box.type !== "checkbox" || !form?.matches("[data-selection]")) return;
  if (box.matches("[data-all]")) {
    boxes(form).forEach((each) => { each.checked = box.checked; });
  } else if (event.shiftKey && lastChosen?.form === form) {
    const all = boxes(form);
    const [from, to] = [all.indexOf(lastChosen), all.indexOf(box)].sort((a, b) => a - b);
    all.slice(from, to + 1).forEach((each) => { each.checked = box.checked; });
  }
  if (box.name === "item") lastChosen = box;
  count(form);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-invert]");
  if (!button) return;
  boxes(button.form).forEach((box) => { box.checked = !box.checked; });
  count(button.form);
});

// A form is sent once, however often somebody clicks.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
  show();
});
document.addEventListener("htmx:afterSettle", show);  // what a page waited for comes later

function show() {
  document.querySelectorAll("form[data-selection]").forEach(count);
  document.querySelectorAll("[data-invert], [data-sets]").forEach((each) => { each.hidden = false; });
}

// Single keys click what they stand for, unless one is typing.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  if (event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea")) return;
  const key = event.key.toLowerCase();
  const target = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  if (!target) return;
  event.preventDefault();
  target.click();
});

// A slider sets the number beside it; the page then counts anew.
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (event.target.dataset.sets) form.elements[event.target.dataset.sets].value = event.target.value;
  const slider = form?.querySelector("[data-sets]");
  if (slider && event.target.name === slider.dataset.sets) slider.value = event.target.value;
});
