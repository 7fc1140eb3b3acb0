/* Coffre: pictures of a document's first pages; the office editor in its frame.
   Without this file a document is downloaded, and a button opens the editor. */
(() => {
  "use strict";
  const shown = document.querySelector("[data-office]");
  if (shown && window.fetch) {
    const base = shown.dataset.office, state = shown.querySelector("[data-state]");
    const words = JSON.parse(document.getElementById("office-words").textContent);
    fetch(base, { headers: { accept: "application/json" } })
      .then(async (answer) => {
        const said = await answer.json();
        if (!answer.ok) { state.textContent = words[said.why] || words[said.code] || words.otherwise; return; }
        state.hidden = true;
        for (let page = 1; page <= said.pages; page += 1) {
          const picture = new Image();
          picture.className = "view";
          picture.alt = shown.dataset.alt.replace("#", page);
          picture.src = `${base}/page/${page}?v=${shown.dataset.mark}`;
          shown.append(picture);
        }
        const pdf = document.querySelector("[data-pdf]");
        if (pdf && said.pdf) pdf.hidden = false;
      })
      .catch(() => { state.textContent = words.otherwise; });
  }

  const form = document.getElementById("office");
  if (form) {
    const frame = document.querySelector("iframe.office");
    window.addEventListener("message", (event) => {
      if (event.origin.toLowerCase() !== form.dataset.origin || event.source !== frame.contentWindow) return;
      let said;
      try { said = typeof event.data === "string" ? JSON.parse(event.data) : event.data; } catch { return; }
      if (!said) return;
      if (said.MessageId === "UI_Close" || said.MessageId === "close") location.assign(form.dataset.back);
      if (said.MessageId === "App_LoadingStatus" && said.Values && said.Values.Status === "Frame_Ready")
        frame.contentWindow.postMessage(JSON.stringify({ MessageId: "Host_PostmessageReady", SendTime: Date.now(), Values: {} }), event.origin);
    });
    form.hidden = true;
    form.submit();
  }
})();
