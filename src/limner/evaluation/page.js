// Sort a table by a column; the rows of real pictures and noise stay at its end.
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const th = button.closest("th");
      const column = th.cellIndex;
      const ascending = th.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].filter((row) => !row.classList.contains("end"));
      const ends = [...body.rows].filter((row) => row.classList.contains("end"));
      const value = (row) => {
        const raw = row.cells[column].dataset.value;
        const parsed = raw === "" ? NaN : Number(raw);
        return Number.isNaN(parsed) ? raw : parsed;
      };
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1;
        return (x > y ? 1 : x < y ? -1 : 0) * (ascending ? 1 : -1);
      });
      body.append(...rows, ...ends);
    });
  });
}
