/* Coffre: one file on its way, in parts that outlive a cut; for the pages that send (coffre.js, mail-files.js). */
window.coffre = (() => {
  "use strict";
  const PART = 5 * 1024 * 1024, TRIES_MS = [1000, 2000, 4000, 8000, 15000], MOST_TRIES = 8;
  const UNAVAILABLE = "service.unavailable", GRANT_REFUSED = "live.grant_refused";
  class Refused extends Error { constructor(code) { super(code); this.code = code; } }
  const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const wait = (ms) => new Promise((done) => { const timer = setTimeout(done, ms); window.addEventListener("online", () => { clearTimeout(timer); done(); }, { once: true }); });

  // How a page sends. base: the address below which it does; signal(): what ends the request under way; moment(): until
  // it may go on; isPaused(); cut(): after a cut, or where the front answers for a drive that is away (a Refused), throws
  // where it is the end; signedOut(): pauses until somebody is; whole(): after an answer.
  const way = (signal) => ({
    base: "/coffre/envoi/",
    signal: () => signal,
    moment: async () => {},
    isPaused: () => false,
    cut: (error, tries) => { if (signal.aborted) throw error; if (tries >= MOST_TRIES) throw new Refused(UNAVAILABLE); },
    signedOut: () => { throw new Refused(GRANT_REFUSED); },
    whole: () => {},
  });

  // Of a file that was changed or taken away meanwhile a browser sends nothing more: that is no cut.
  const isThere = (body) => !body || body.slice(0, 1).arrayBuffer().then(() => true, () => false);
  const passes = (status) => (status >= 500 && status !== 507) || status === 408 || status === 429;

  // One request until it is answered: a cut is waited out, an old grant is made new, what is refused is refused.
  const ask = async (by, method, path, body, about) => {
    for (let tries = 0, refusals = 0, grants = 0; ; tries += 1) {
      await by.moment();
      let answer = null;
      try {
        // Asked again, for no answer came: what arrived all the same is that file.
        const headers = about ? { "X-Beffroi-File": encodeURIComponent(JSON.stringify(tries ? { ...about, again: true } : about)) } : {};
        answer = await fetch(by.base + path, { method, body, headers, credentials: "same-origin", signal: by.signal() });
      } catch (error) {
        if (!(await isThere(body))) throw new Refused("input.invalid");
        by.cut(error, tries);
      }
      if (answer && answer.ok) { by.whole(); return answer.status === 204 ? null : answer.json(); }
      if (answer) {
        const code = await answer.json().then((found) => found.code, () => "");
        if (code === GRANT_REFUSED) {
          const fresh = await fetch("/coffre/droit/", { credentials: "same-origin" }).catch(() => null);
          if (fresh && fresh.redirected) { by.signedOut(); grants = 0; continue; }
          if (fresh && fresh.status === 204 && grants < 3) { grants += 1; continue; }
          if (!fresh || passes(fresh.status)) by.cut(new Refused(UNAVAILABLE), tries);
          else throw new Refused(code);
        } else if (!passes(answer.status)) throw new Refused(code || UNAVAILABLE);
        else if (!code) by.cut(new Refused(UNAVAILABLE), tries);
        else if ((refusals += 1) > MOST_TRIES) throw new Refused(code);
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
  // A folder that nothing lies in.
  const make = (by, about) => ask(by, "POST", "dossier", undefined, about);
  return { Refused, hex, make, send, way };
})();
