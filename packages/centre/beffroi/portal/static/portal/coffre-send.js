/* Coffre: one file on its way, in parts that outlive a cut; for the pages that send (coffre.js, mail-files.js). */
window.coffre = (() => {
  "use strict";
  const PART = 5 * 1024 * 1024, TRIES_MS = [1000, 2000, 4000, 8000, 15000], MOST_TRIES = 8;
  const UNAVAILABLE = "service.unavailable";
  class Refused extends Error { constructor(code) { super(code); this.code = code; } }
  const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const wait = (ms) => new Promise((done) => { const timer = setTimeout(done, ms); window.addEventListener("online", () => { clearTimeout(timer); done(); }, { once: true }); });

  // How a page sends. base: the address below which it does; signal(): what ends the request under way; moment(): until it may go on; isPaused(); cut(): after
  // a cut, throws where it is the end; whole(): after an answer.
  const way = (signal) => ({
    base: "/coffre/envoi/",
    signal: () => signal,
    moment: async () => {},
    isPaused: () => false,
    cut: (error, tries) => { if (signal.aborted) throw error; if (tries >= MOST_TRIES) throw new Refused(UNAVAILABLE); },
    whole: () => {},
  });

  // One request until it is answered: a cut is waited out, an old grant is made new, what is refused is refused.
  const ask = async (by, method, path, body, about) => {
    for (let tries = 0; ; tries += 1) {
      await by.moment();
      let answer = null;
      try {
        const headers = about ? { "X-Beffroi-File": encodeURIComponent(JSON.stringify(about)) } : {};
        answer = await fetch(by.base + path, { method, body, headers, credentials: "same-origin", signal: by.signal() });
      } catch (error) { by.cut(error, tries); }
      if (answer && answer.ok) { by.whole(); return answer.status === 204 ? null : answer.json(); }
      if (answer) {
        const found = await answer.json().catch(() => ({ code: UNAVAILABLE }));
        if (found.code === "live.grant_refused" && tries < 3) {
          const fresh = await fetch("/coffre/droit/", { credentials: "same-origin" }).catch(() => null);
          if (fresh && fresh.status === 204) continue;
        }
        if (answer.status < 500 || answer.status === 507) throw new Refused(found.code);
        if (tries >= MOST_TRIES) throw new Refused(UNAVAILABLE);
      }
      if (!by.isPaused()) await wait(TRIES_MS[Math.min(tries, TRIES_MS.length - 1)]);
    }
  };

  // upload(): the name that the parts of a long file go by, where they came before under the same name they stay;
  // count(bytes): how many are there. What the last request answers.
  const send = async (by, file, about, upload, count) => {
    if (file.size <= PART) {
      const made = await ask(by, "POST", "fichier", file, about);
      count(file.size);
      return made;
    }
    const name = await upload(), there = new Map((await ask(by, "POST", name, undefined, about)).parts);
    for (let number = 1; number <= Math.ceil(file.size / PART); number += 1) {
      const piece = file.slice((number - 1) * PART, number * PART);
      if (there.get(number) !== piece.size) await ask(by, "PUT", name + "/" + number, piece);
      count(Math.min(number * PART, file.size));
    }
    return ask(by, "POST", name + "/fin", undefined, about);
  };
  return { Refused, hex, send, way };
})();
