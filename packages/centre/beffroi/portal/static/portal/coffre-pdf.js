/* Coffre: a PDF on its page. Pages are drawn when they come near, and given up when they are far; their text lies over
   the picture, so that it is read aloud, searched and copied. The bytes come by the grant of the page, in ranges.
   Without this file the download stays. No script of a PDF is run; WebAssembly is not allowed by the page's policy. */
import { AbortException, GlobalWorkerOptions, PDFDataRangeTransport, TextLayer, getDocument } from "./pdfjs/pdf.min.mjs";

const here = new URL(".", import.meta.url);
GlobalWorkerOptions.workerSrc = new URL("pdfjs/pdf.worker.min.mjs", here).href;
const ZOOMS = [0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 4], NEAR = "600px", MOST_PIXELS = 16e6;
const FIRST_BYTES = 128 * 1024, TRIES_MS = [1000, 2000, 4000, 8000, 15000];
const inPercent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });

const asked = (url, begin, end, signal) => fetch(url, { headers: { Range: `bytes=${begin}-${end - 1}` }, credentials: "same-origin", signal });
const passes = (status) => status >= 500 || status === 408 || status === 429;
const wait = (ms) => new Promise((done) => { const timer = setTimeout(done, ms); window.addEventListener("online", () => { clearTimeout(timer); done(); }, { once: true }); });

// pdf.js asks for no piece twice: one that a cut kept back would never come. A cut is waited out here instead.
class Pieces extends PDFDataRangeTransport {
  constructor(url, length, first, say) { super(length, first, first.length === length); this.url = url; this.say = say; this.ended = new AbortController(); }
  async requestDataRange(begin, end) {
    for (let tries = 0; !this.ended.signal.aborted; tries += 1) {
      let answer = null;
      try {
        answer = await asked(this.url, begin, end, this.ended.signal);
        if (answer.status === 206) {
          const piece = new Uint8Array(await answer.arrayBuffer());
          this.say("");
          this.onDataRange(begin, piece);
          return;
        }
      } catch { answer = null; }
      if (answer && !passes(answer.status)) { this.say("away"); return; }
      this.say("cut");
      await wait(TRIES_MS[Math.min(tries, TRIES_MS.length - 1)]);
    }
  }
  abort() { this.ended.abort(); }
}

// The beginning, and with it how long the whole is; all of it where that is what is answered.
const source = async (url, say) => {
  const answer = await asked(url, 0, FIRST_BYTES).catch(() => null);
  if (!answer || !answer.ok) throw new Away();
  const first = new Uint8Array(await answer.arrayBuffer()), length = Number((answer.headers.get("Content-Range") || "").split("/")[1]);
  return answer.status === 206 && length ? { range: new Pieces(url, length, first, say) } : { data: first };
};
class Away extends Error {}

const open = async (desk) => {
  const words = desk.dataset, find = (name) => desk.querySelector(`[data-${name}]`);
  const view = find("view"), state = find("state"), number = find("number"), bar = find("bar"), percent = find("percent");
  state.textContent = words.opening;
  desk.hidden = false;
  const loading = getDocument({
    ...await source(words.pdf, (what) => { state.textContent = words[what] || ""; }), wasmUrl: new URL("pdfjs/", here).href, useWasm: false, enableXfa: false, disableAutoFetch: true,
    disableStream: true, maxImageSize: 64e6, useWorkerFetch: false,
  });
  const pdf = await loading.promise;
  const first = await pdf.getPage(1), sheets = [];
  let zoom = 0, scale = 1, current = 1;

  const inside = getComputedStyle(view);
  const fitted = () => (view.clientWidth - parseFloat(inside.paddingLeft) - parseFloat(inside.paddingRight)) / first.getViewport({ scale: 1 }).width;

  class Sheet {
    constructor(index) {
      this.index = index; this.page = null; this.drawn = 0; this.near = false; this.task = null; this.text = null;
      this.box = document.createElement("section");
      this.box.className = "sheet";
      this.box.setAttribute("aria-label", words.page.replace("#", index));
      view.append(this.box);
      this.sized(first.getViewport({ scale }));
    }
    sized({ width, height }) { this.box.style.width = `${Math.floor(width)}px`; this.box.style.height = `${Math.floor(height)}px`; }
    async draw() {
      if (!this.near || this.drawn === scale) return;
      const wanted = this.drawn = scale;
      this.give();
      this.page ??= await pdf.getPage(this.index);
      if (!this.near || wanted !== scale) { this.drawn = 0; return; }
      const viewport = this.page.getViewport({ scale });
      this.sized(viewport);
      const canvas = document.createElement("canvas"), text = document.createElement("div");
      // As sharp as the screen is, up to what a small computer can hold.
      const sharp = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (viewport.width * viewport.height)));
      canvas.width = Math.floor(viewport.width * sharp); canvas.height = Math.floor(viewport.height * sharp);
      canvas.setAttribute("aria-hidden", "true");
      text.className = "words";
      text.style.setProperty("--total-scale-factor", scale);
      this.box.replaceChildren(canvas, text);
      try {
        this.task = this.page.render({ canvas, viewport, transform: sharp === 1 ? null : [sharp, 0, 0, sharp, 0, 0] });
        this.text = new TextLayer({ textContentSource: this.page.streamTextContent(), container: text, viewport });
        await Promise.all([this.task.promise, this.text.render()]);
        this.box.dataset.drawn = "";
      } catch (error) {
        if (wanted === scale && this.near && error.name !== "RenderingCancelledException" && !(error instanceof AbortException)) {
          const told = document.createElement("p");
          told.className = "note"; told.textContent = words.pageBroken;
          this.box.replaceChildren(told);
        }
      }
    }
    give() {
      this.task?.cancel(); this.text?.cancel();
      this.task = this.text = null;
      delete this.box.dataset.drawn;
      this.box.replaceChildren();
    }
    left() { if (this.drawn) { this.give(); this.drawn = 0; this.page?.cleanup(); } }
  }

  const set = (wanted) => {
    const before = sheets[current - 1];
    const into = before ? (view.scrollTop - before.box.offsetTop) / Math.max(before.box.offsetHeight, 1) : 0;
    zoom = wanted;
    scale = zoom || fitted();
    percent.textContent = inPercent.format(scale);
    for (const one of sheets) {
      if (one.page) one.sized(one.page.getViewport({ scale })); else one.sized(first.getViewport({ scale }));
      one.draw();
    }
    if (before) view.scrollTop = before.box.offsetTop + into * before.box.offsetHeight;
  };
  const say = () => { number.value = current; find("previous").disabled = current === 1; find("next").disabled = current === pdf.numPages; };
  const go = (wanted) => {
    current = Math.min(Math.max(Math.round(wanted) || 1, 1), pdf.numPages);
    view.scrollTop = sheets[current - 1].box.offsetTop - 8;
    say();
  };
  const step = (up) => set(up ? ZOOMS.find((one) => one > scale * 1.01) ?? scale : ZOOMS.findLast((one) => one < scale * 0.99) ?? scale);

  scale = fitted();
  for (let index = 1; index <= pdf.numPages; index += 1) sheets.push(new Sheet(index));
  const boxes = new Map(sheets.map((one) => [one.box, one]));
  const watch = new IntersectionObserver((seen) => {
    for (const one of seen) {
      const sheet = boxes.get(one.target);
      sheet.near = one.isIntersecting;
      if (sheet.near) sheet.draw(); else sheet.left();
    }
  }, { root: view, rootMargin: NEAR });
  for (const one of sheets) watch.observe(one.box);

  number.max = pdf.numPages;
  find("count").textContent = words.count.replace("#", pdf.numPages);
  bar.hidden = view.hidden = false;
  state.textContent = "";
  set(0); say();
  find("previous").addEventListener("click", () => go(current - 1));
  find("next").addEventListener("click", () => go(current + 1));
  find("smaller").addEventListener("click", () => step(false));
  find("larger").addEventListener("click", () => step(true));
  find("fit").addEventListener("click", () => set(0));
  number.addEventListener("change", () => go(Number(number.value)));
  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { "+": () => step(true), "=": () => step(true), "-": () => step(false), 0: () => set(0), ArrowRight: () => go(current + 1), ArrowLeft: () => go(current - 1) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  view.addEventListener("scroll", () => {
    const middle = view.scrollTop + view.clientHeight / 3;
    const found = sheets.findLastIndex((one) => one.box.offsetTop <= middle) + 1 || 1;
    if (found !== current) { current = found; say(); }
  }, { passive: true });
  let wide = view.clientWidth;
  new ResizeObserver(() => { if (!zoom && view.clientWidth !== wide) { wide = view.clientWidth; set(0); } }).observe(view);
};

for (const desk of document.querySelectorAll("[data-pdf]")) {
  open(desk).catch((error) => {
    const words = desk.dataset;
    desk.querySelector("[data-state]").textContent = error instanceof Away ? words.away : error.name === "PasswordException" ? words.locked : words.broken;
  });
}
