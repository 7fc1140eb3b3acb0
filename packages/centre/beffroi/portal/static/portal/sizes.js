/* Lengths of files as the pages say them ("12 ko", "1,4 Mo"): the same as words.size, for scripts that list files;
   and their names in the order of their letters, the same as names.in_order. */
window.sizes = (() => {
  "use strict";
  const lang = document.documentElement.lang, unit = lang.startsWith("fr") ? "o" : "B";
  return (bytes) => {
    let value = bytes, sign = "";
    for (const bigger of ["k", "M", "G", "T"]) {
      if (value < (sign ? 999.5 : 1000)) break;
      value /= 1000; sign = bigger;
    }
    const digits = ["", "k"].includes(sign) || value >= 99.95 ? 0 : 1;
    return new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(value).replaceAll("\u202f", "\u00a0") + "\u00a0" + sign + unit;
  };
})();
window.inOrder = (name) => name.replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
