/* Coffre: ticking many files, and dragging them into a folder; sending files and folders (coffre-send.js).
   Without this file each file is ticked alone, and a plain form sends one. */
(() => {
  "use strict";
  const acts = document.getElementById("acts");
  const note = document.querySelector("[data-ticked]");
  if (acts && note) {
    const boxes = () => [...document.querySelectorAll(".files input[form=acts]")];
    const all = acts.querySelector("[data-all]");
    const say = () => {
      const found = boxes(), count = found.filter((one) => one.checked).length;
      all.textContent = found.length && count === found.length ? all.dataset.untick : all.dataset.tick;
      note.textContent = count === 0 ? note.dataset.none : count === 1 ? note.dataset.one : note.dataset.many.replace("#", count);
    };
    all.hidden = false;
    document.addEventListener("htmx:afterSettle", () => { if (note.textContent) say(); });  // more rows came, unticked
    all.addEventListener("click", () => {
      const found = boxes(), on = found.some((one) => !one.checked);
      for (const one of found) one.checked = on;
      say();
    });
    document.addEventListener("change", (event) => { if (event.target.form === acts) say(); });
    // With the shift key: all from the last one pressed to this one.
    let last = null;
    document.addEventListener("mousedown", (event) => { if (event.shiftKey && event.target.closest(".files :is(label, input)")) event.preventDefault(); });  // marks no text
    document.addEventListener("click", (event) => {
      const all = boxes(), at = all.indexOf(event.target), before = all.indexOf(last);
      if (at < 0) return;
      if (event.shiftKey && before >= 0) for (const one of all.slice(Math.min(at, before), Math.max(at, before) + 1)) one.checked = event.target.checked;
      last = event.target;
    });
    // In the list: arrows go from row to row, in the album from picture to picture, down and up in its column; the space
    // bar ticks the row, Ctrl+A all, A goes to what is done with them, Delete is the button of that name.
    const step = { ArrowDown: "nextElementSibling", ArrowRight: "nextElementSibling", ArrowUp: "previousElementSibling", ArrowLeft: "previousElementSibling" };
    const beside = (row, key) => {
      const across = key === "ArrowRight" || key === "ArrowLeft";
      let found = row && row[step[key]];
      while (found && (found.offsetLeft === row.offsetLeft) === across) found = across ? null : found[step[key]];
      return found;
    };
    document.addEventListener("keydown", (event) => {
      const row = event.target.closest(".files > li"), goal = beside(row, event.key);
      if (!row || event.altKey || event.shiftKey) return;
      if (event.ctrlKey || event.metaKey) {
        if (event.key !== "a") return;
        for (const one of boxes()) one.checked = true;
        say();
      } else if (goal) {
        (goal.querySelector(event.target.matches("input") ? "input" : event.target.matches(".star") ? ".star" : "a") || goal.querySelector("a")).focus();
      } else if (event.key === " " && event.target.matches("a") && row.querySelector("input[form=acts]")) {
        last = row.querySelector("input[form=acts]");
        last.checked = !last.checked;
        say();
      } else if (event.key === "a") {
        acts.querySelector("[name=what]").focus();
      } else if (event.key === "Delete" && acts.querySelector("[value=delete]") && boxes().some((one) => one.checked)) {
        acts.querySelector("[value=delete]").click();
      } else return;
      event.preventDefault();
    });
    // A row, or all that are ticked with it, is dragged into a folder of the list or of the way to it.
    let held = [];
    const goal = (event) => { const link = event.target.closest("a[data-folder]"); return link && held.length && !held.includes(link.dataset.folder) ? link : null; };
    const mark = (link) => { for (const one of document.querySelectorAll("a[data-folder].over")) if (one !== link) one.classList.remove("over"); if (link) link.classList.add("over"); };
    document.addEventListener("dragstart", (event) => {
      const row = event.target.closest && event.target.closest(".files > li"), box = row && row.querySelector("input[form=acts]");
      held = !box || !acts.querySelector("[value=move]") ? [] : box.checked ? boxes().filter((one) => one.checked).map((one) => one.value) : [box.value];
    });
    document.addEventListener("dragover", (event) => { const link = goal(event); mark(link); if (link) event.preventDefault(); });
    document.addEventListener("dragend", () => { held = []; mark(null); });
    document.addEventListener("drop", (event) => {
      const link = goal(event);
      if (!link) return;
      event.preventDefault();
      for (const one of boxes()) one.checked = held.includes(one.value);
      for (const [name, value] of [["what", "into"], ["vers", link.dataset.folder]]) {
        const field = document.createElement("input");
        field.type = "hidden"; field.name = name; field.value = value;
        acts.append(field);
      }
      acts.submit();
    });
    // One field instead of thousands: the portal takes no form with so many.
    acts.addEventListener("formdata", (event) => {
      const ticked = event.formData.getAll("n");
      event.formData.delete("n");
      if (ticked.length) event.formData.append("n", ticked.join(","));
    });
  }

  const plain = document.getElementById("send");
  const desk = document.getElementById("desk");
  if (!plain || !desk || !window.fetch || !window.crypto || !crypto.subtle) return;
  const { Refused, hex, make, send } = window.coffre, size = window.sizes, inOrder = window.inOrder;
  const words = desk.dataset;
  const refusals = JSON.parse(document.getElementById("refusals").textContent);
  const folder = Number(words.folder);
  const list = desk.querySelector("[data-list]"), total = desk.querySelector("progress"), state = desk.querySelector("[data-state]");
  const count = desk.querySelector("[data-count]"), leftOut = desk.querySelector("[data-left-out]");
  const pause = desk.querySelector("[data-pause]"), stop = desk.querySelector("[data-stop]"), asked = desk.querySelector("[data-asked]");
  plain.hidden = true; desk.hidden = false;

  // What systems and office programs leave in folders and sync clients send neither: pictures of thumbnails, settings,
  // locks of open documents, attributes of macOS, bins. It goes with a folder unseen; who picks one by itself wants it.
  const LITTER = /^(thumbs\.db|ehthumbs(_vista)?\.db|desktop\.ini|\.ds_store|\.localized|\.apdisk|\.directory|icon\r|\._.*|~\$.*|~.*\.tmp|\.~lock\..*#|\.nfs[0-9a-f]+|\.fuse_hidden.*)$/i;
  const LITTER_FOLDER = /^(__macosx|\.trashes|\.trash-\d+|\.temporaryitems|\.documentrevisions-v100|\.spotlight-v100|\.fseventsd|system volume information|\$recycle\.bin|@eadir)$/i;
  const litter = (file, path) => path.length > 0 && ((file.isFolder ? LITTER_FOLDER : LITTER).test(file.name) || path.slice(1).some((one) => LITTER_FOLDER.test(one)));

  // State changes are rare enough to be read out; the running bytes are not said.
  const say = (text) => { if (state.textContent !== text) state.textContent = text; };

  let queue = [], sent = 0, whole = 0, files = 0, done = 0, made = 0, failed = 0, left = 0, unseen = 0, running = false, paused = false, stopped = false, forAll = "", wake = null, giveUp = null;
  let abort = new AbortController();
  const walks = new Set();  // dropped folders that are being looked through
  const show = () => { total.max = Math.max(whole, 1); total.value = sent; total.textContent = Math.floor(100 * sent / Math.max(whole, 1)) + " %"; count.textContent = words.soFar.replace("#", done).replace("#", files); };
  const moment = async () => { while (paused && !stopped) await new Promise((on) => { wake = on; }); if (stopped) throw new Error("stopped"); };

  const by = {
    base: words.base,
    signal: () => abort.signal,
    moment,
    isPaused: () => paused,
    cut: (error) => { if (stopped) throw new Error("stopped"); if (!paused) say(error instanceof Refused ? words.away : words.cut); },
    signedOut: () => { paused = true; pause.textContent = words.goOn; say(words.signedOut); },
    whole: () => { if ([words.cut, words.away].includes(state.textContent)) say(words.running); },
  };

  const choose = (name) => forAll ? Promise.resolve(forAll) : new Promise((answered) => {
    asked.hidden = false;
    asked.querySelector("p").textContent = words.taken.replace("#", () => inOrder(name));
    const end = (value) => {
      asked.removeEventListener("click", press);
      giveUp = null;
      asked.hidden = true;
      answered(value);
    };
    const press = (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (asked.querySelector("input").checked) forAll = button.value;
      pause.focus();
      end(button.value);
    };
    giveUp = () => end("skip");
    asked.addEventListener("click", press);
    asked.querySelector("button").focus();
  });

  const name = async (one) => {
    const text = JSON.stringify([folder, one.path, one.file.name, one.file.size, one.file.lastModified]);
    return hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  };

  const sendOne = (one) => {
    const about = { collectivite: words.collectivite, folder, path: one.path, name: one.file.name, size_bytes: one.file.size, mtime_s: one.file.isFolder ? null : Math.floor(one.file.lastModified / 1000), taken: one.taken };
    if (one.file.isFolder) return make(by, about);
    return send(by, one.file, about, () => name(one), (bytes) => { sent += bytes - one.sent; one.sent = bytes; one.bar.value = bytes; show(); });
  };

  const mark = (one, text, tone) => { one.state.textContent = text; one.state.className = "tag " + tone; one.bar.hidden = text !== words.sending; };

  const told = () => {
    const folders = made === 0 ? "" : made === 1 ? words.madeOne : words.madeMany.replace("#", made);
    return done === 0 ? folders || words.doneNone : (done === 1 ? words.doneOne : words.doneMany.replace("#", done)) + (folders && " " + folders);
  };

  const run = async () => {
    if (running) return;
    running = true; stopped = paused = false; abort = new AbortController();
    pause.textContent = words.pause;
    forAll = ""; asked.querySelector("input").checked = false;  // an answer holds for what was sent with it
    pause.hidden = stop.hidden = false; total.hidden = false; count.hidden = files < 2;
    say(words.running);
    for (let one = queue.shift(); one; one = queue.shift()) {
      if (!one.row) { unseen -= 1; draw(one); }
      mark(one, words.sending, "quiet");
      try {
        if (one.file.isUnread) throw new Error("unread");
        for (;;) {
          try { await sendOne(one); break; } catch (error) {
            if (!(error instanceof Refused) || error.code !== "drive.name_taken" || one.taken !== "ask" || one.file.isFolder) throw error;
            const answer = await choose(one.file.name);
            if (answer === "skip") throw new Refused("skip");
            one.taken = answer;
          }
        }
        if (one.file.isFolder) made += 1; else done += 1;
        show();
        mark(one, words.done, "good");
        if (list.children.length + unseen > 50) one.row.remove();
      } catch (error) {
        whole -= one.file.size - one.sent; show();
        if (stopped) { mark(one, words.stopped, "quiet"); break; }
        if (error instanceof Refused && error.code === "skip") { mark(one, words.skipped, "quiet"); continue; }
        failed += 1;
        mark(one, words.failed, "bad");
        one.why.textContent = error instanceof Refused ? refusals[error.code] || refusals["drive.client_gone"] : words.broken;
      }
    }
    for (const one of stopped ? queue.splice(0) : []) { whole -= one.file.size - one.sent; if (one.row) mark(one, words.stopped, "quiet"); else unseen -= 1; }
    running = false;
    finish();
  };

  const finish = () => {
    if (walks.size) { pause.hidden = total.hidden = true; tellWalks(); return; }
    // A button that goes takes the focus along: it goes to what is said.
    if ([pause, stop].includes(document.activeElement)) { state.tabIndex = -1; state.focus(); }
    pause.hidden = stop.hidden = true; total.hidden = count.hidden = true;
    say((stopped ? words.halted + " " : "") + told() + (failed ? " " + (failed === 1 ? words.failedOne : words.failedMany.replace("#", failed)) : ""));
    if (done + made && !failed && !stopped) location.assign(words.page + "?recu=" + done + (made ? "&dossiers=" + made : "") + (left ? "&laisses=" + left : ""));
    else desk.querySelector("[data-reload]").hidden = !(done + made);
  };

  const draw = (one) => {
    const { file, path } = one;
    const row = document.createElement("li"), text = document.createElement("div"), title = document.createElement("p"), why = document.createElement("p"), bar = document.createElement("progress"), tag = document.createElement("span");
    row.className = "row"; text.className = "grow stack"; why.className = "note"; tag.className = "tag quiet";
    title.textContent = inOrder([...path, file.name].join(" › ")) + (file.isFolder ? "" : " · " + size(file.size));
    bar.max = Math.max(file.size, 1); bar.value = 0; bar.setAttribute("aria-label", inOrder(file.name));
    tag.textContent = words.waiting;
    text.append(title, bar, why); row.append(text, tag); list.append(row);
    Object.assign(one, { row, bar, why, state: tag });
  };

  // A large tree is looked through for minutes before its first file is sent.
  const tellWalks = () => {
    if (running) return;
    stop.hidden = count.hidden = false;
    say(words.looking);
    count.textContent = words.found.replace("#", [...walks].reduce((sum, one) => sum + one.found.length, 0));
  };

  const add = (found) => {
    for (const [file, path] of found) {
      if (litter(file, path)) { left += 1; continue; }
      const one = { file, path, sent: 0, taken: "ask" };
      queue.push(one);
      // Thousands of lines would stop the page for minutes: the others come when it is their turn.
      if (list.children.length + unseen < 50) draw(one); else unseen += 1;
      whole += file.size; if (!file.isFolder) files += 1;
    }
    show();
    leftOut.hidden = !left;
    leftOut.textContent = left === 1 ? words.leftOne : words.leftMany.replace("#", left);
    if (queue.length) run();
    else if (!running) { stopped = false; finish(); }  // a folder that holds nothing, or litter alone
  };

  for (const input of desk.querySelectorAll("input[type=file]")) input.addEventListener("change", () => {
    add([...input.files].map((file) => [file, file.webkitRelativePath ? file.webkitRelativePath.split("/").slice(0, -1) : []]));
    input.value = "";
  });

  // Browsers call each picture of the clipboard "image.png": the moment tells them apart.
  document.addEventListener("paste", (event) => {
    const found = [...(event.clipboardData ? event.clipboardData.files : [])];
    if (!found.length || event.target.closest("input, textarea")) return;
    event.preventDefault();
    const name = words.pasted + " " + new Date().toLocaleString("sv-SE").replaceAll(":", ".") + ".png";
    add(found.map((file) => [file.name === "image.png" ? new File([file], name, { type: file.type, lastModified: file.lastModified }) : file, []]));
  });

  // What cannot be read has a line that says so; the rest is sent.
  const walk = async (entry, path, by) => {
    const out = by.found;
    try {
      if (entry.isFile) { out.push([await new Promise((on, off) => entry.file(on, off)), path]); return; }
      const reader = entry.createReader(), first = out.length;
      for (;;) {
        if (by.isLong) tellWalks();
        const some = await new Promise((on, off) => reader.readEntries(on, off));
        if (!walks.has(by)) return;
        if (!some.length) {
          // A folder is made with what lies in it; where nothing that is sent does, by itself.
          const folder = { name: entry.name, size: 0, isFolder: true };
          if (!litter(folder, path) && out.slice(first).every(([file, way]) => litter(file, way))) out.push([folder, path]);
          return;
        }
        for (const one of some) if (walks.has(by)) await walk(one, [...path, entry.name], by);
      }
    } catch { out.push([{ name: entry.name, size: 0, isUnread: true }, path]); }
  };
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, async (event) => {
    if (![...(event.dataTransfer ? event.dataTransfer.types : [])].includes("Files")) return;
    event.preventDefault();
    desk.classList.toggle("over", kind === "dragover");
    if (kind !== "drop") return;
    const entries = [...event.dataTransfer.items].map((one) => one.webkitGetAsEntry && one.webkitGetAsEntry());
    if (entries.some((one) => !one)) { add([...event.dataTransfer.files].map((file) => [file, []])); return; }
    const by = { found: [], isLong: false };
    walks.add(by);
    setTimeout(() => { by.isLong = true; if (walks.has(by)) tellWalks(); }, 300);  // most are there at once
    for (const one of entries) await walk(one, [], by);
    if (walks.delete(by)) add(by.found);
  });

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? words.goOn : words.pause;
    say(paused ? words.paused : words.running);
    if (paused) { abort.abort(); abort = new AbortController(); } else if (wake) { wake(); wake = null; }
  });
  stop.addEventListener("click", () => {
    stopped = true; walks.clear();
    abort.abort();
    if (wake) { wake(); wake = null; }
    if (giveUp) giveUp();
    if (!running) finish();
  });
  window.addEventListener("beforeunload", (event) => { if (running || walks.size) event.preventDefault(); });
  setInterval(() => { if (running) fetch("/coffre/droit/", { credentials: "same-origin" }).catch(() => null); }, 600000);
})();
