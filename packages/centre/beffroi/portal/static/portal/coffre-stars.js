/* Coffre: a star is put or taken away without leaving the page. Without this file the button sends its form. */
(() => {
  "use strict";
  document.addEventListener("click", async (event) => {
    const star = event.target.closest("button.star");
    if (!star || !star.form || !window.fetch) return;
    if (star.dataset.plain) return;
    event.preventDefault();
    if (star.ariaBusy === "true") return;
    star.ariaBusy = "true";
    const data = new FormData(star.form);
    data.append(star.name, star.value);
    try {
      // Led elsewhere, as to the sign-in, is not done.
      const answer = await fetch(star.form.action, { method: "POST", body: data, headers: { accept: "application/json" }, credentials: "same-origin", redirect: "manual" }).catch(() => null);
      if (!answer || answer.status >= 500) { window.alert(star.form.dataset.away); return; }  // the list stays
      if (answer.status !== 204) throw new Error("refused");
      const on = star.name === "ajouter";
      star.name = on ? "retirer" : "ajouter";
      star.setAttribute("aria-pressed", String(on));
    } catch {
      star.dataset.plain = "1";
      star.click();  // the page of the answer says what is wrong
    } finally {
      star.removeAttribute("aria-busy");
    }
  });
})();
