"use strict";
/* Sorting and filtering. The page says everything without it. */
(() => {
  const value = (row, column, kind) => {
    const text = row.cells[column].dataset.order;
    if (text === undefined) return null;
    return kind === "number" ? Number(text) : text.toLowerCase();
  };

  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null); // not measured: last
    return (a < b ? -1 : a > b ? 1 : 0) * sign;
  };

  const sort = (table, head, kind) => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => [value(row, head.cellIndex, kind), row]);
    rows.sort((a, b) => compare(a[0], b[0], descending ? -1 : 1));
    body.append(...rows.map((pair) => pair[1]));
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, head.dataset.sort));
      head.append(button);
    }
  }

  const tools = document.querySelector(".tools");
  if (tools) {
    const find = document.getElementById("find");
    const only = document.getElementById("only");
    const found = document.getElementById("found");
    const rows = Array.from(document.querySelectorAll("details.row"));
    const text = rows.map((row) => row.textContent.toLowerCase());
    const filter = () => {
      const wanted = find.value.trim().toLowerCase();
      let left = 0;
      rows.forEach((row, at) => {
        const keyed = !only.value || row.dataset.keys.split(" ").includes(only.value);
        row.hidden = !keyed || !text[at].includes(wanted);
        left += row.hidden ? 0 : 1;
      });
      found.textContent = left === 1 ? "1 row" : `${left} rows`;
    };
    find.addEventListener("input", filter);
    only.addEventListener("change", filter);
    tools.hidden = false;
  }
})();
