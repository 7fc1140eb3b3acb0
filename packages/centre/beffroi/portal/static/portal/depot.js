/* A drop link's page: several files, one after the other, each with its progress; a receipt at the end.
   Without this file the plain form sends one file. */
(() => {
  "use strict";
  const form = document.getElementById("drop"), box = document.getElementById("sent");
  if (!form || !box || !window.XMLHttpRequest) return;
  const words = form.dataset, refusals = JSON.parse(document.getElementById("refusals").textContent);
  const field = form.elements.fichier, list = box.querySelector("[data-list]"), state = box.querySelector("[data-state]");
  const receipt = box.querySelector("[data-receipt]");
  field.multiple = true;
  form.querySelector("[data-one]").remove();
  field.removeAttribute("aria-describedby");
  // What did not get through, though nobody refused it: sent again at a press, nothing is chosen anew.
  const PASSES = ["drive.client_gone", "service.unavailable", "drive.store_unavailable", "drive.chunk_vanished", "drive.locked"];
  const again = receipt.querySelector("[data-again]");
  const lang = document.documentElement.lang;
  let left = [], reference = "", running = false;

  // A line for each file: its name and length, how far it is, how it ended.
  const line = (file) => {
    const row = document.createElement("li"), text = document.createElement("p"), said = document.createElement("p"), tag = document.createElement("span");
    const bar = document.createElement("progress");
    row.className = "stack"; said.className = "note"; tag.className = "tag quiet";
    text.textContent = `${window.inOrder(file.name)} · ${window.sizes(file.size)}`;
    tag.textContent = words.waiting;
    bar.max = Math.max(file.size, 1); bar.value = 0;
    bar.setAttribute("aria-label", window.inOrder(file.name));
    text.append(" ", tag);
    row.append(text, bar, said);
    list.append(row);
    return { row, bar, said, tag };
  };

  // As base64 of UTF-8: percent-encoded, a long message in a script of three bytes a letter is more than a head takes.
  const packed = (told) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(told))));

  // lost: no answer came to it before; what arrived all the same is that file.
  const send = (file, shown, lost) => new Promise((done) => {
    const request = new XMLHttpRequest();
    const told = { name: file.name, size_bytes: file.size, sender: form.elements.expediteur.value, message: form.elements.message.value, again: lost };
    const fails = (code) => done({ code });
    request.open("PUT", words.desk + "fichier");
    request.setRequestHeader("X-Beffroi-File", packed(told));
    request.upload.addEventListener("progress", (event) => { shown.bar.value = event.loaded; });
    request.addEventListener("load", () => {
      try {
        const answer = JSON.parse(request.responseText);
        done(request.status === 201 ? answer : { code: answer.code });
      } catch { fails("service.unavailable"); }
    });
    // Of a file that was changed or taken away meanwhile a browser sends nothing more: that is no cut.
    request.addEventListener("error", () => file.slice(0, 1).arrayBuffer().then(() => fails("drive.client_gone"), () => fails("drive.body_differs")));
    request.send(file);
  });

  const sendAll = async (files, lost = false) => {
    form.hidden = true; box.hidden = false; receipt.hidden = true;
    state.textContent = words.running; running = true;
    const shown = files.map(line);
    left = [];
    for (const [at, file] of files.entries()) {
      const { row, bar, said, tag } = shown[at];
      const mark = (words, tone) => { tag.textContent = words; tag.className = "tag " + tone; };
      mark(words.sending, "quiet");
      const answer = file.size > Number(words.most) ? { code: "drive.drop_too_long" } : await send(file, shown[at], lost);
      bar.hidden = true;
      if (answer.reference) { reference = answer.reference; mark(words.done, "good"); continue; }
      const passes = PASSES.includes(answer.code);
      if (passes) left.push({ file, row });
      mark(passes ? words.cut : words.failed, "bad");
      said.textContent = refusals[answer.code] || refusals["drive.drop_refused"];
    }
    running = false;
    const came = list.querySelector(".tag.good");
    state.textContent = !list.querySelector(".tag.bad") ? words.over : came ? words.partly : words.none;
    again.hidden = !left.length;
    receipt.hidden = false;
    const facts = receipt.querySelector("dl");
    facts.hidden = !came;
    receipt.querySelector("[data-print]").hidden = !came;
    receipt.querySelector(".note").hidden = !came;
    receipt.querySelector("[data-reference]").textContent = reference;
    receipt.querySelector("[data-when]").textContent = new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, { dateStyle: "long", timeStyle: "short", timeZone: words.zone }).format(new Date()).replace(/0?(\d+):(\d+)$/, lang === "fr" ? "$1\u00a0h\u00a0$2" : "$&");
    state.tabIndex = -1; state.focus();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    list.replaceChildren();
    if (field.files.length) sendAll([...field.files]);
  });
  again.addEventListener("click", () => {
    for (const { row } of left) row.remove();
    sendAll(left.map(({ file }) => file), true);
  });
  window.addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
  receipt.querySelector("[data-print]").addEventListener("click", () => window.print());
  receipt.querySelector("[data-more]").addEventListener("click", () => { field.value = ""; form.hidden = false; box.hidden = true; field.focus(); });
})();
