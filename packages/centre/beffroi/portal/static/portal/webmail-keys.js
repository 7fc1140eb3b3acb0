/* Keys of the mail pages, and their printing. Everything they do has a link or a button as well.
   A single letter acts only outside of fields, and can be switched off in the help (WCAG 2.1.4). */
(() => {
  "use strict";
  const help = document.getElementById("keys");
  if (!help) return;
  const OFF = "beffroi-keys-off";
  const box = help.querySelector("input");
  const off = () => { try { return localStorage.getItem(OFF) === "1"; } catch { return false; } };
  box.checked = !off();
  box.addEventListener("change", () => { try { box.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1"); } catch { /* no storage */ } });
  for (const button of document.querySelectorAll("[data-keys]")) { button.hidden = false; button.addEventListener("click", () => help.showModal()); }
  help.querySelector("button").addEventListener("click", () => help.close());

  const letters = () => [...document.querySelectorAll(".mails li > a")];
  const step = (by) => {
    const all = letters(), at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
    if (next) next.focus();
    return Boolean(next);
  };
  const go = (id) => { const link = document.getElementById(id); if (link) link.click(); return Boolean(link); };
  const acts = {
    j: () => step(1), k: () => step(-1), n: () => go("write"), r: () => go("reply"),
    "/": () => { const field = document.getElementById("id_q"); if (field) { field.focus(); field.select(); } return Boolean(field); },
    a: () => { const field = document.getElementById("id_what"); if (field) field.focus(); return Boolean(field); },
    "?": () => { help.showModal(); return true; },
    x: () => { const row = document.activeElement.closest(".mails li"), tick = row && row.querySelector("input"); if (tick) tick.click(); return Boolean(tick); },
    Escape: () => go("back"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (typing) { if (event.key === "Escape") event.target.blur(); return; }
    if (off() && event.key !== "?") return;
    const act = acts[event.key];
    if (act && act()) event.preventDefault();
  });
  // On paper the mail is text: a frame is cut where its window ends.
  let opened = [];
  window.addEventListener("beforeprint", () => { opened = [...document.querySelectorAll("details.as-text:not([open])")]; for (const one of opened) one.open = true; });
  window.addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
})();
