// Search in the tables of claims and of papers. Without this script all rows simply show.
"use strict";
(() => {
  const kinds = [
    { box: ".ndl-ledger", table: "table.ndl-claims", row: ":scope > tbody > tr", what: "claims",
      only: "Only those that do not hold", marked: ".ndl-fails, .ndl-unknown" },
    { box: ".ndl-papers", table: "table", row: ":scope > tbody > tr", what: "papers",
      only: "Only those without a chapter", marked: ".ndl-none" },
  ];
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  for (const kind of kinds)
    for (const box of document.querySelectorAll(kind.box)) {
      const tables = [...box.querySelectorAll(kind.table)].map((table) => ({
        table,
        hidden: table.closest(".ndl-part") ?? table,      // a part's heading goes with its table
        caption: plain(table.caption?.textContent ?? ""),
        rows: [...table.querySelectorAll(kind.row)].map((row) => ({
          row, text: plain(row.textContent), marked: row.querySelector(kind.marked) !== null })),
      }));
      const total = tables.reduce((n, t) => n + t.rows.length, 0);
      const form = document.createElement("form");
      form.className = "ndl-search";
      form.setAttribute("role", "search");
      form.innerHTML = `<label>Search the ${kind.what} <input type="search" autocomplete="off" spellcheck="false"></label>
        <label><input type="checkbox"> ${kind.only}</label><p role="status" aria-live="polite"></p>`;
      const [word, only] = form.querySelectorAll("input"), status = form.querySelector("p");
      const apply = () => {
        const words = plain(word.value).split(/\s+/).filter(Boolean);
        let shown = 0;
        for (const { hidden, caption, rows } of tables) {
          let here = 0;
          for (const { row, text, marked } of rows) {
            const fits = (!only.checked || marked) && words.every((w) => text.includes(w) || caption.includes(w));
            row.hidden = !fits;
            here += fits;
          }
          hidden.hidden = here === 0;
          shown += here;
        }
        status.textContent = shown === total ? `All ${total} ${kind.what}.`
          : shown ? `${shown} of ${total} ${kind.what}.` : `None of ${total} ${kind.what}. Try fewer or shorter words.`;
      };
      form.addEventListener("input", apply);
      form.addEventListener("submit", (event) => event.preventDefault());
      box.prepend(form);
      apply();
    }
})();
