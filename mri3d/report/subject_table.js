// The table of tested subjects: sorted by its headers, and narrowed down by what is searched for and chosen.
"use strict";
(() => {
  const OPPOSITE = { ascending: "descending", descending: "ascending" };
  const FIRST = { text: "ascending", number: "descending" }; // what a press on a header begins with
  const texts = new Intl.Collator(undefined, { numeric: true });

  /** Take spellings of one text for the same. */
  const plain = (text) => text.normalize("NFKC").toLowerCase().trim();

  /** Return the text of a cell without what else stands in it. */
  const named = (cell) => cell.querySelector("bdi").textContent;

  /** Compare what rows are sorted by: NaN is the last in either direction. */
  function compare(one, other, sign) {
    if (typeof one === "string") return sign * texts.compare(one, other);
    return Number.isNaN(one) - Number.isNaN(other) || sign * (one - other) || 0;
  }

  class Subjects {
    constructor(root) {
      this.root = root;
      this.body = root.querySelector("tbody");
      this.headers = [...root.querySelectorAll("[data-sort]")];
      this.filters = {};
      for (const filter of root.querySelectorAll("[data-filter]")) this.filters[filter.dataset.filter] = filter;
      this.rows = [...this.body.rows].map((row) => this.read(row)); // in the order of the page, which decides ties
    }

    /** Return what is known of a row. */
    read(row) {
      const [name, [truth, prediction]] = [row.cells[0], row.querySelectorAll(".answer")];
      const searched = plain([name, truth, prediction].map(named).join("\n"));
      const notes = Boolean(row.querySelector(".notes")?.firstChild);
      return { row, searched, truth: named(truth), wrong: Boolean(row.querySelector(".wrong")), notes };
    }

    start() {
      for (const header of this.headers) {
        const button = Object.assign(document.createElement("button"), { type: "button" });
        button.append(...header.childNodes);
        button.addEventListener("click", () => this.sort(header));
        header.append(button);
      }
      for (const filter of Object.values(this.filters)) filter.addEventListener("input", () => this.narrow());
      this.root.querySelector(".subjects-bar").hidden = false;
      this.root.classList.add("works");
      this.narrow();
    }

    sort(header) {
      const kind = header.dataset.sort;
      const direction = OPPOSITE[header.getAttribute("aria-sort")] ?? FIRST[kind];
      const sign = direction === "ascending" ? 1 : -1;
      const key = (cell) => (kind === "text" ? named(cell) : Number(cell.dataset.value ?? NaN));
      const keyed = this.rows.map(({ row }) => [key(row.cells[header.cellIndex]), row]);
      keyed.sort(([one], [other]) => compare(one, other, sign));
      this.body.append(...keyed.map(([, row]) => row));
      for (const each of this.headers) each.setAttribute("aria-sort", each === header ? direction : "none");
    }

    /** Show the rows that are asked for, and say how many they are. */
    narrow() {
      const { search, show, truth } = this.filters;
      const searched = plain(search.value);
      let count = 0;
      for (const each of this.rows) {
        const shown = each.searched.includes(searched)
          && (!show || show.value === "all" || each[show.value])
          && (!truth?.selectedIndex || each.truth === truth.value);
        each.row.hidden = !shown;
        count += shown;
      }
      this.root.querySelector("output").textContent = `${count} of ${this.rows.length} shown`;
    }
  }

  for (const root of document.querySelectorAll(".subjects")) new Subjects(root).start();
})();
