/* The page of writing: saves the draft by itself, completes recipients, takes files by drop.
   Without this file the same form saves and sends by its buttons. */
(() => {
  "use strict";
  const form = document.getElementById("compose");
  if (!form || !window.fetch) return;
  const words = form.dataset;
  const state = form.querySelector("[data-state]");
  const trouble = document.getElementById("trouble");
  const list = form.querySelector("[data-files]");
  const input = form.querySelector("input[type=file]");
  const limit = Number(words.limit);
  const PAUSE_MS = 3000;
  if (!form.tab.value) form.tab.value = crypto.randomUUID();

  const say = (text) => { trouble.querySelector("p").textContent = text; trouble.hidden = !text; };
  // Beside the files, and until others are chosen: a draft that is kept meanwhile says nothing about what was refused.
  const refused = form.querySelector("[data-refused]");
  const refuse = (text) => { refused.textContent = text; refused.hidden = !text; };
  const bytes = () => [...list.querySelectorAll("li")].reduce((sum, row) => {
    const box = row.querySelector("input");
    return sum + (box && !box.checked ? 0 : Number(row.querySelector("[data-bytes]").dataset.bytes));
  }, 0);

  // ``sent``: boxes of the files that were sent, in the order in which the draft has them now. What was unticked meanwhile
  // stays so, and the keyboard where it was.
  const show = (files, rest, sent) => {
    const held = list.contains(document.activeElement) ? document.activeElement : null;
    let next = input;
    list.replaceChildren(...files.map((file, n) => {
      const row = document.createElement("li"), label = document.createElement("label"), box = document.createElement("input"), note = document.createElement("span");
      row.className = "row"; label.className = "grow target"; note.className = "note num";
      const before = sent[n] && sent[n].closest("label").textContent.trim() === file.name ? sent[n] : null;
      box.type = "checkbox"; box.name = "keep"; box.value = file.part; box.checked = !before || before.checked;
      if (held && held === before) next = box;
      label.append(box, " " + file.name);
      note.dataset.bytes = file.size_bytes; note.textContent = window.sizes(file.size_bytes);
      row.append(label, note);
      return row;
    }), ...rest);
    if (held && !held.isConnected) next.focus();
  };

  // A session that ended, or a sign-in in another window: what is typed waits here, and is sent with a new token.
  let stale = false, ended = false;
  const renew = async () => {
    const answer = await fetch(words.fresh, { credentials: "same-origin" });
    ended = answer.redirected;
    if (ended || !answer.ok) throw new Error("no token");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    form.elements.csrfmiddlewaretoken.value = fresh.querySelector("#compose [name=csrfmiddlewaretoken]").value;
  };

  // Files on a slow line take minutes: it is said how far they are.
  const post = (data, hasFiles) => new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    for (const end of ["error", "abort", "timeout"]) request.addEventListener(end, fail);
    request.addEventListener("load", () => done(request));
    let said = 0;
    if (hasFiles) request.upload.addEventListener("progress", (event) => {
      const tens = event.lengthComputable ? Math.floor(10 * event.loaded / event.total) : 0;
      if (tens > said) { said = tens; state.textContent = words.carrying + " " + tens * 10 + "\u202f%"; }
    });
    request.send(data);
  });

  // One request at a time: each state of the draft replaces the one before it.
  let changed = false, running = null, timer = 0, leaving = false, waiting = [], carried = 0;
  const send = async (what) => {
    if (leaving) return true;  // pressed twice: the second would call the first back, and send again
    const data = new FormData(form);
    data.delete("files"); data.set("what", what);
    const files = waiting; waiting = [];
    for (const file of files) data.append("files", file, file.name);
    const sent = [...list.querySelectorAll("input:checked")];
    changed = false;
    state.textContent = words.saving;
    let answer, found;
    try {
      if (stale) { await renew(); data.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value); }
      answer = await post(data, files.length > 0);
      ended = answer.responseURL !== new URL(form.action, location.href).href;
      stale = ended || !(answer.getResponseHeader("Content-Type") || "").includes("json");
      if (stale) throw new Error("no answer");
      found = JSON.parse(answer.responseText);
    } catch {
      waiting = [...files, ...waiting]; changed = true;
      state.textContent = ""; say(ended ? words.ended : words.lost);
      plan(8000);
      return false;
    }
    if (found.error) {
      changed = true;
      if (answer.status >= 500) plan(8000);
      if (found.field !== "files") waiting = [...files, ...waiting];
      state.textContent = words.unsaved;
      if (found.field === "files") refuse(found.error); else say(found.error);
      const field = form.elements[found.field];
      for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
      if (field && field.focus && what === "send") { if (field.closest("details")) field.closest("details").open = true; field.setAttribute("aria-invalid", "true"); field.focus(); }
      return false;
    }
    if (found.goto) { leaving = true; location.assign(found.goto); return true; }
    form.uid.value = found.uid; form.uid_validity.value = found.uid_validity; form.message_id.value = found.message_id;
    // What is passed on is taken once, unless it cannot be: then it stays here, and the text is kept without it.
    if (found.left_out) refuse(found.left_out);
    else for (const one of form.querySelectorAll("[name=forwarded_uid], [name=forwarded_folder]")) one.remove();
    show(found.files, found.left_out ? [...list.querySelectorAll("[name=forward]")].map((box) => box.closest("li")) : [], sent);
    say(found.apart ? words.apart : "");
    state.textContent = found.saved;
    return true;
  };
  const save = (what) => {
    clearTimeout(timer);
    const held = what === "send" || waiting.length ? 1 : 0;
    carried += held;
    running = (running || Promise.resolve()).then(() => send(what)).finally(() => { carried -= held; });
    return running;
  };
  // A draft with large files is written whole each time, so it is written less often.
  const plan = (pause) => { clearTimeout(timer); timer = setTimeout(() => { if (changed && !leaving) save("save"); }, pause || PAUSE_MS + bytes() / 1000); };
  const touch = () => { changed = true; state.textContent = words.unsaved; plan(); };
  form.addEventListener("input", (event) => { if (event.target !== input) touch(); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const what = event.submitter ? event.submitter.value : "send";
    if (what === "discard" && !form.uid.value) { leaving = true; location.assign(words.list); return; }
    save(what);
  });
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden" && changed && !leaving) save("save"); });
  window.addEventListener("pagehide", () => {
    if (!changed || leaving) return;
    const data = new FormData(form);
    data.delete("files"); data.set("what", "save");
    navigator.sendBeacon(form.action, data);
  });
  window.addEventListener("beforeunload", (event) => { if ((waiting.length || carried) && !leaving) event.preventDefault(); });

  const add = (files) => {
    const more = [], large = [];
    let whole = bytes();
    for (const file of files) if (whole + file.size > limit) large.push(file); else { more.push(file); whole += file.size; }
    // What does not fit goes by a link, where the page has a way (mail-files.js); else nothing of it is taken.
    if (large.length && form.dispatchEvent(new CustomEvent("beffroi:large", { detail: large, cancelable: true }))) { refuse(words.tooLarge); return; }
    refuse("");
    if (!more.length) return;
    waiting.push(...more); changed = true;
    save("save");
  };
  input.addEventListener("change", () => { add(input.files); input.value = ""; });
  form.addEventListener("beffroi:attach", (event) => add(event.detail));
  const drop = form.querySelector("[data-drop]");
  for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, (event) => {
    if (![...(event.dataTransfer ? event.dataTransfer.types : [])].includes("Files")) return;
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") add(event.dataTransfer.files);
  });

  // Recipients: the last piece of the field is looked for in names and addresses.
  let people = null;
  const load = () => people || (people = fetch(words.people, { credentials: "same-origin", headers: { Accept: "application/json" } }).then((answer) => answer.json()).then((found) => found.people).catch(() => []));
  const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  form.querySelectorAll("[data-complete]").forEach((field, number) => {
    const box = document.createElement("ul");
    box.id = "people" + number; box.className = "people"; box.setAttribute("role", "listbox"); box.setAttribute("aria-label", field.labels[0].textContent); box.hidden = true;
    field.after(box);
    field.setAttribute("role", "combobox"); field.setAttribute("aria-autocomplete", "list"); field.setAttribute("aria-controls", box.id); field.setAttribute("aria-expanded", "false");
    let at = -1;
    const close = () => { box.hidden = true; at = -1; field.setAttribute("aria-expanded", "false"); field.removeAttribute("aria-activedescendant"); };
    const take = (item) => {
      const head = field.value.replace(/[^,;]*$/, "");
      field.value = head + (head && !head.endsWith(" ") ? " " : "") + item.dataset.value + ", ";
      close(); field.focus(); touch();
    };
    const mark = (next) => {
      const items = [...box.children];
      if (!items.length) return;
      at = (next + items.length) % items.length;
      items.forEach((item, index) => item.setAttribute("aria-selected", String(index === at)));
      field.setAttribute("aria-activedescendant", items[at].id);
      items[at].scrollIntoView({ block: "nearest" });
    };
    field.addEventListener("focus", load, { once: true });
    field.addEventListener("input", async () => {
      const wanted = plain(field.value.split(/[,;]/).pop().trim());
      if (wanted.length < 1) { close(); return; }
      const all = await load();
      const found = all.filter(([name, address]) => plain(name).split(/[\s-]+/).some((word) => word.startsWith(wanted)) || plain(name).startsWith(wanted) || address.toLowerCase().startsWith(wanted) || (wanted.length > 2 && address.toLowerCase().includes(wanted))).slice(0, 8);
      box.replaceChildren(...found.map(([name, address], index) => {
        const item = document.createElement("li");
        item.id = box.id + "-" + index; item.setAttribute("role", "option"); item.setAttribute("aria-selected", "false");
        item.dataset.value = name ? '"' + name.replace(/["\\]/g, "") + '" <' + address + ">" : address;
        item.textContent = name ? name + " · " + address : address;
        item.addEventListener("mousedown", (event) => { event.preventDefault(); take(item); });
        return item;
      }));
      box.hidden = !found.length; at = -1;
      field.setAttribute("aria-expanded", String(!box.hidden)); field.removeAttribute("aria-activedescendant");
    });
    field.addEventListener("keydown", (event) => {
      if (box.hidden) return;
      if (event.key === "ArrowDown") mark(at + 1);
      else if (event.key === "ArrowUp") mark(at - 1);
      else if (event.key === "Escape") close();
      else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(box.children[at]);
      else return;
      if (event.key !== "Tab") { event.preventDefault(); event.stopPropagation(); }
    });
    field.addEventListener("blur", close);
  });
})();
