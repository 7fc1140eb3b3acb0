/* Courrier and Coffre: what is too large goes by a link, files of the Coffre are attached, attachments are kept there.
   Without this file a mail takes what fits, and an attachment is saved to the computer. */
(() => {
  "use strict";
  const desk = document.querySelector("[data-coffre]");
  if (!desk || !window.fetch || !window.crypto || !crypto.subtle) return;
  const words = desk.dataset;
  const refusals = JSON.parse(document.getElementById("coffre-refusals").textContent);
  const { Refused, hex, way } = window.coffre, size = window.sizes;
  const why = (error) => (error instanceof Refused && refusals[error.code]) || words.broken;

  // Where files go; its answer also gives this browser the right to send and to fetch for some minutes.
  const place = async (folder) => {
    const answer = await fetch(words.place + (folder ? "?dossier=" + folder : ""), { credentials: "same-origin", headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) throw new Refused("service.unavailable");
    return answer.json();
  };
  const post = async (address, fields) => {
    const data = new FormData();
    data.set("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
    for (const [name, value] of Object.entries(fields)) data.set(name, value);
    const answer = await fetch(address, { method: "POST", body: data, credentials: "same-origin", headers: { Accept: "application/json" } });
    const found = (answer.headers.get("Content-Type") || "").includes("json") ? await answer.json() : {};
    if (answer.ok) return found;
    throw Object.assign(new Refused(found.code || "service.unavailable"), { errors: found.errors });
  };
  const send = async (file, path, bar, signal) => {
    const at = await place();
    const about = { folder: at.folder, path: [at[path]], name: file.name, size_bytes: file.size, taken: "both" };
    // A name of its own: what is sent twice lies there twice, for each link has its own file.
    const upload = () => hex(crypto.getRandomValues(new Uint8Array(32)));
    bar.max = Math.max(file.size, 1);
    return window.coffre.send(way(signal), file, about, upload, (bytes) => { bar.value = bytes; });
  };
  const make = (name, text, kind) => { const one = document.createElement(name); if (text) one.textContent = window.inOrder(text); if (kind) one.className = kind; return one; };

  // -- the reading page: each attachment may be kept in the Coffre
  for (const button of document.querySelectorAll("[data-keep]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const note = button.parentElement.querySelector("[data-kept]");
      button.disabled = true; note.textContent = words.running;
      try {
        const answer = await fetch(button.dataset.keep, { credentials: "same-origin" });
        if (!answer.ok) throw new Refused(answer.status === 403 ? "mail.attachment_not_kept" : "service.unavailable");
        const data = await answer.blob();
        const made = await send(new File([data], button.dataset.name), "received", make("progress"), new AbortController().signal);
        const link = make("a", words.kept);
        link.href = "/coffre/" + made.folder + "/";
        note.replaceChildren(link); button.hidden = true;
      } catch (error) { note.textContent = why(error); button.disabled = false; }
    });
  }

  // -- the page of writing
  const form = document.getElementById("compose");
  if (!form) return;
  const list = desk.querySelector("[data-linked]"), rules = desk.querySelector("[data-rules]"), text = form.elements.text;
  const limit = Number(form.dataset.limit);
  const write = (value) => { text.value = value; text.dispatchEvent(new Event("input", { bubbles: true })); };
  const insert = (line) => {
    const mark = text.value.search(/\n-- \n|\n-{10} /), at = mark < 0 ? text.value.length : mark;
    write(text.value.slice(0, at).replace(/\s+$/, "") + "\n\n" + line + "\n" + text.value.slice(at));
  };
  const linked = (row, answer, name) => {
    const button = make("button", words.remove, "btn"), note = make("span", words.until.replace("#", answer.until), "tag good");
    button.type = "button"; button.append(make("span", " " + name, "sr"));
    button.addEventListener("click", async () => {
      button.disabled = true;
      try { await post(words.remover, { share: answer.share }); } catch (error) { note.textContent = why(error); button.disabled = false; return; }
      write(text.value.replace("\n\n" + answer.line + "\n", "\n"));
      row.remove(); text.focus();
    });
    row.replaceChildren(make("span", name, "grow target"), note, button);
    insert(answer.line);
  };
  const link = async (row, node, name, isSent) => {
    const fields = { node, days: desk.querySelector("[name=link_days]").value, password: desk.querySelector("[name=link_password]").value };
    if (isSent) fields.message_id = form.elements.message_id.value;
    linked(row, await post(words.linker, fields), name);
  };
  const shown = () => { rules.hidden = false; return list.appendChild(make("li", "", "row")); };

  form.addEventListener("beffroi:large", (event) => {
    event.preventDefault();
    for (const file of event.detail) {
      const row = shown(), ways = make("span", "", "actions"), go = make("button", words.go, "btn primary"), no = make("button", words.no, "btn");
      const state = make("p", words.large, "note"), bar = make("progress"), box = make("div", "", "grow stack");
      go.type = no.type = "button"; bar.hidden = true; bar.value = 0; bar.setAttribute("aria-label", window.inOrder(file.name));
      go.append(make("span", " " + file.name, "sr")); no.append(make("span", " " + file.name, "sr"));
      box.append(make("p", file.name + " · " + size(file.size)), state, bar); ways.append(go, no); row.append(box, ways);
      let stop = new AbortController(), made = null;
      no.addEventListener("click", () => { stop.abort(); row.remove(); });
      go.addEventListener("click", async () => {
        go.disabled = true; bar.hidden = false; state.textContent = words.running; stop = new AbortController();
        try {
          made = made || await send(file, "sent", bar, stop.signal);
          await link(row, made.node, file.name, true);
        } catch (error) {
          if (stop.signal.aborted) return;
          state.textContent = error.errors ? Object.values(error.errors).join(" ") : why(error);
          go.disabled = false; bar.hidden = true;
        }
      });
      go.focus();
    }
  });
  // What is still to be sent would not be in the mail: the button says so instead of sending it without.
  form.addEventListener("submit", (event) => {
    if (!event.submitter || event.submitter.value !== "send" || !list.querySelector("progress")) return;
    event.preventDefault(); event.stopImmediatePropagation();
    const state = list.querySelector("li .note");
    state.textContent = words.first; list.querySelector("button").focus();
  }, true);

  const dialog = desk.querySelector("dialog"), open = desk.querySelector("[data-pick]");
  const show = async (folder) => {
    const note = dialog.querySelector("[data-note]"), rows = dialog.querySelector("ul"), trail = dialog.querySelector("[data-trail]");
    note.textContent = "";
    let found;
    try { found = await place(folder || (await place()).folder); } catch (error) { note.textContent = why(error); return; }
    trail.replaceChildren(...found.trail.flatMap((one, at) => {
      const step = make(at + 1 < found.trail.length ? "button" : "span", one.name, at + 1 < found.trail.length ? "btn" : "");
      if (step.tagName === "BUTTON") { step.type = "button"; step.addEventListener("click", () => show(one.id)); }
      return at ? [make("span", " › "), step] : [step];
    }));
    rows.replaceChildren(...found.rows.map((one) => {
      const row = make("li", "", "row");
      if (one.is_folder) {
        const into = make("button", one.name, "btn");
        into.type = "button"; into.addEventListener("click", () => show(one.id));
        row.append(into);
        return row;
      }
      const ways = make("span", "", "actions");
      const add = (label, act, off) => {
        const button = make("button", label, "btn");
        button.type = "button"; button.disabled = off; button.append(make("span", " " + one.name, "sr"));
        button.addEventListener("click", async () => { button.disabled = true; try { await act(); dialog.close(); } catch (error) { note.textContent = error.errors ? Object.values(error.errors).join(" ") : why(error); button.disabled = false; } });
        ways.append(button);
      };
      add(words.attach, async () => {
        const answer = await fetch(one.bytes, { credentials: "same-origin" });
        if (!answer.ok) throw new Refused((await answer.json().catch(() => ({}))).code || "service.unavailable");
        form.dispatchEvent(new CustomEvent("beffroi:attach", { detail: [new File([await answer.blob()], one.name)] }));
      }, one.size_bytes > limit);
      add(words.byLink, async () => { const row2 = shown(); try { await link(row2, one.id, one.name, false); } catch (error) { row2.remove(); throw error; } }, false);
      row.append(make("span", one.name + " · " + one.size, "grow target"), ways);
      return row;
    }));
    if (found.more) note.textContent = words.more;
    if (!found.rows.length) note.textContent = words.nothing;
  };
  open.hidden = false;
  open.addEventListener("click", () => { dialog.showModal(); show(); });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
})();
