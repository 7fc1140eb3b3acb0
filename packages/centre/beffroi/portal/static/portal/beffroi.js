/* Live updates, and small conveniences: every page works without this file.
   /live sends {"kind", "id"}; parts of the page that say hx-trigger="live:decision from:body" then ask again. */
(() => {
  "use strict";
  const body = document.body;
  const sign = document.querySelector("[data-live]");
  const waiting = new Map();

  const say = (on) => {
    if (!sign) return;
    sign.hidden = false;
    sign.classList.toggle("on", on);
    sign.textContent = on ? sign.dataset.on : sign.dataset.off;
  };
  const ring = (name) => {
    // Many decisions come in one burst: one question answers them all.
    if (waiting.has(name)) return;
    waiting.set(name, setTimeout(() => {
      waiting.delete(name);
      if (window.htmx) window.htmx.trigger(body, name);
    }, 150));
  };
  const hear = (event) => {
    const kind = String(JSON.parse(event.data).kind || "").split(":")[0];
    if (kind) ring("live:" + kind);
  };
  let missed = false;
  const listen = () => {
    const source = new EventSource("/live");
    source.onopen = () => {
      say(true);
      if (missed) for (const kind of ["decision", "campaign", "remediation", "box", "mail", "incident"]) ring("live:" + kind);
      missed = false;
    };
    source.onmessage = hear;
    source.onerror = () => {
      say(false);
      missed = true;
      if (source.readyState !== EventSource.CLOSED) return;
      // The grant ran out: the portal gives a new one as long as the session stands.
      setTimeout(() => fetch("/direct/", { credentials: "same-origin" })
        .then((answer) => { if (answer.status === 204) listen(); else setTimeout(listen, 15000); })
        .catch(() => setTimeout(listen, 15000)), 3000);
    };
  };
  if (body.dataset.listens && "EventSource" in window) listen();

  // After a part of the page was replaced, the keyboard stays where it was: by its id, or on what reads the same and leads
  // to the same place, if there is one such thing alone; else on what came in its place.
  let held = body;
  const means = (one) => JSON.stringify([one.outerHTML, one.form ? one.form.action : ""]);
  const successor = (one) => {
    if (one.id) return document.getElementById(one.id);
    const alike = [...document.querySelectorAll(one.localName)].filter((other) => means(other) === means(one));
    return alike.length === 1 ? alike[0] : null;
  };
  body.addEventListener("htmx:beforeSwap", () => { if (held.isConnected) held = document.activeElement; });
  const begin = (one) => {
    if (one.tabIndex < 0) one.tabIndex = -1;
    one.focus();
  };
  body.addEventListener("htmx:afterSettle", (event) => {
    if (document.activeElement !== body || held.isConnected) return;
    begin(successor(held) || event.target);
    held = body;
  });
  // A frame in which the keyboard is, such as a mail's, is no focus of this page to its style.
  window.addEventListener("blur", () => { if (document.activeElement.localName === "iframe") document.activeElement.classList.add("entered"); });
  window.addEventListener("focus", () => { for (const frame of document.querySelectorAll("iframe.entered")) frame.classList.remove("entered"); });
  for (const button of document.querySelectorAll("[data-print]")) { button.hidden = false; button.addEventListener("click", () => window.print()); }
  if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => navigator.clipboard.writeText((({ value, textContent }) => value ?? textContent)(document.getElementById(button.dataset.copy))).then(() => { button.textContent = button.dataset.done; }));
  }
  // A list that stands whole in its page is narrowed while one types; what is ticked in it stays ticked.
  const bare = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  for (const field of document.querySelectorAll("[data-narrows]")) {
    const lines = [...document.getElementById(field.dataset.narrows).children], texts = lines.map((line) => bare(line.textContent));
    field.parentElement.hidden = false;
    field.addEventListener("input", () => {
      const words = bare(field.value).split(/\s+/);
      lines.forEach((line, n) => { line.hidden = !words.every((word) => texts[n].includes(word)); });
      const shown = lines.filter((line) => !line.hidden).length;
      field.nextElementSibling.textContent = field.value.trim() && field.dataset.said.replace("{shown}", shown).replace("{all}", lines.length);
    });
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });  // it would send the form around it
  }
  // What somebody typed is not lost to a session that ended, to another collectivité that they chose in another tab, or to
  // a line that is down: before it is sent the page is asked for once more, which says whose it is and gives a new token.
  const fresh = new WeakSet();
  const typed = (form) => [...form.querySelectorAll("textarea, input:not([type]), input[type=text]")].some((one) => one.value);
  const who = (page) => { const one = page.querySelector("[data-who]"); return one ? one.dataset.who : ""; };
  const keep = (form, text) => {
    const told = form.querySelector("[data-kept]") || document.createElement("p");
    told.className = "say bad"; told.dataset.kept = ""; told.setAttribute("role", "alert"); told.textContent = text;
    form.prepend(told); told.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("submit", async (event) => {
    const form = event.target, pressed = event.submitter;
    if (event.defaultPrevented || form.method !== "post" || !body.dataset.listens || fresh.delete(form) || !typed(form)) return;
    event.preventDefault();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html"), token = page.querySelector("[name=csrfmiddlewaretoken]");
      const now = who(page);  // none on the page for who signs in
      if (now ? now !== who(document) : answer.redirected) { keep(form, body.dataset.ended); return; }
      const own = form.elements.csrfmiddlewaretoken;  // none on a form that the Coffre takes itself
      if (own && token) own.value = token.value;
    } catch { keep(form, body.dataset.unreachable); return; }
    fresh.add(form);
    form.requestSubmit(pressed);
  });
  // Pressed twice a form is sent once, also while a slow line is awaited: each POST that arrives makes an entry, a link, a
  // mail. What changed in it meanwhile is sent; a download's form may be sent again after that.
  const sent = new WeakMap();
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    const said = JSON.stringify([...new FormData(form, event.submitter)].filter(([name]) => name !== "csrfmiddlewaretoken")), before = sent.get(form);
    if (before && before.said === said && event.timeStamp - before.at < 10000) event.preventDefault();
    else sent.set(form, { said, at: event.timeStamp });
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) for (const form of document.forms) sent.delete(form); });
  // What a form answered with: to load it again or come back to it shows the form, and does not send it once more.
  if (document.querySelector("[data-answer]")) history.replaceState(null, "", location.href);
  // A thumbnail that there is not leaves the sign below it, a picture leaves words; browsers would draw a frame.
  const leaves = (image) => {
    if (!image.matches) return;
    if (image.matches(".thumb img")) image.remove();
    if (!image.matches("img[data-broken]")) return;
    const told = document.createElement("p");
    told.className = "note"; told.textContent = image.dataset.broken;
    image.replaceWith(told);
  };
  document.addEventListener("error", (event) => leaves(event.target), true);
  for (const image of document.querySelectorAll(".thumb img, img[data-broken]")) if (image.complete && !image.naturalWidth) leaves(image);
  // A page begins at what is wrong, and after something was done at what it says of it, else at its title: it is read aloud,
  // and the way back is one step on. A page that leads to a place of its own begins there.
  const done = () => performance.getEntriesByType("navigation")[0].redirectCount && (document.querySelector("[data-outcome]") || document.querySelector("h1"));
  const first = document.querySelector("[aria-invalid='true']") || document.querySelector("[data-focus]") || document.getElementById(location.hash.slice(1)) || document.querySelector("[autofocus]") || done();
  if (first) begin(first);
})();
