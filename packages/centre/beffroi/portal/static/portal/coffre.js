/* Coffre: ticking many files. Without this file each is ticked alone. */
(() => {
  "use strict";
  const acts = document.getElementById("acts");
  const note = document.querySelector("[data-ticked]");
  if (!acts || !note) return;
  const boxes = () => [...document.querySelectorAll(".files input[form=acts]")];
  const all = acts.querySelector("[data-all]");
  const say = () => {
    const count = boxes().filter((one) => one.checked).length;
    note.hidden = false;
    note.textContent = count === 0 ? note.dataset.none : count === 1 ? note.dataset.one : note.dataset.many.replace("#", count);
  };
  all.hidden = false;
  all.addEventListener("click", () => {
    const found = boxes(), on = found.some((one) => !one.checked);
    for (const one of found) one.checked = on;
    say();
  });
  document.addEventListener("change", (event) => { if (event.target.form === acts) say(); });
  // One field instead of thousands: the portal takes no form with so many.
  acts.addEventListener("formdata", (event) => {
    const ticked = event.formData.getAll("n");
    event.formData.delete("n");
    if (ticked.length) event.formData.append("n", ticked.join(","));
  });
})();
