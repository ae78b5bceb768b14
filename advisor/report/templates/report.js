"use strict";
/* Sorting, filtering and turning pages. Without it the page shows the first rows. */
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

  const make = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, given] of Object.entries(attributes)) made.setAttribute(key, given);
    made.append(...children); // strings become text, never markup
    return made;
  };

  const pairs = document.getElementById("pairs");
  const pick = document.getElementById("pair");
  if (pairs && pick) {
    const known = JSON.parse(pairs.textContent).pairs;
    known.forEach((one, at) =>
      pick.append(make("option", { value: at }, `${one.task}: ${one.a}, then ${one.b}`)));
    const body = document.querySelector("#pairs-table tbody");
    const cells = (one) => [one.a, one.b, one.difference, one.n, one.worse, one.better]
      .map((text) => make("td", {}, text === undefined ? "\u2014" : String(text)));
    const choose = () => body.replaceChildren(...known[pick.value].lines.map((one) =>
      make("tr", { class: one.side || "" }, make("th", { scope: "row" }, one.name),
        ...cells(one))));
    pick.addEventListener("change", choose);
    document.querySelector(".pick").hidden = false;
    choose();
  }

  const island = document.getElementById("rows-data");
  const tools = document.querySelector(".tools:not(.pick)");
  if (!island || !tools) return;

  const data = JSON.parse(island.textContent);
  const say = (at) => data.texts[at];

  /* The same cells as rows.py fills: one a contender. */
  const fill = (credit) => (credit === null ? "cx"
    : `c${credit >= 1 ? 4 : credit > 0 ? Math.max(1, Math.floor(credit * 4)) : 0}`);
  const strip = (row) => {
    const words = (at) => row.credits[at] === null
      ? "no answer" : `${Math.round(row.credits[at] * 100)}%`;
    const said = "Credit: " + data.names.map((name, at) => `${name} ${words(at)}`).join(", ");
    return make("span", { class: "strip", role: "img", "aria-label": said },
      ...row.credits.map((credit) => make("i", { class: fill(credit) })));
  };

  const answer = ([who, verdict, credit, text, read, why, dropped]) => {
    const told = make("td", { class: "text" }, say(text) || "(empty)");
    if (say(dropped)) {
      told.append(make("small", {}, `left out of the prompt: ${say(dropped)}`));
    }
    const same = read === text;
    return make("tr", { class: say(verdict) },
      make("th", { scope: "row" }, data.names[who]),
      make("td", {}, make("b", {}, say(verdict)), make("small", {}, say(credit))), told,
      make("td", { class: "text" }, same ? make("small", {}, "the same") : say(read)),
      make("td", { class: "why" }, say(why)));
  };

  const passages = (row) => {
    const count = row.passages.length === 1 ? "1 passage" : `${row.passages.length} passages`;
    const items = row.passages.map(([text, readers]) =>
      make("li", {}, make("small", {}, `read by ${say(readers)}`), say(text)));
    return make("details", { class: "passages" }, make("summary", {}, `${count} retrieved`),
      make("ol", {}, ...items));
  };

  const body = (row) => {
    const asked = make("div", { class: "asked" },
      make("p", { class: "question" }, make("small", {}, row.id), say(row.question)));
    if (row.choices.length) {
      asked.append(make("p", {}, make("small", {}, "choices"), row.choices.join(" / ")));
    }
    asked.append(make("p", { class: "target" }, make("small", {}, "target"),
      row.targets.map(say).join("  or  ")));
    const heads = ["Contender", "Credit", "Answer", "Read as", "Why"];
    const table = make("table", { class: "said" },
      make("thead", {}, make("tr", {}, ...heads.map((one) => make("th", { scope: "col" }, one)))),
      make("tbody", {}, ...row.said.map(answer)));
    const scroll = make("div", { class: "scroll", tabindex: 0, role: "region",
      "aria-label": `Answers to ${row.id}, scrolls sideways` }, table);
    return row.passages.length ? [asked, scroll, passages(row)] : [asked, scroll];
  };

  const fold = (row) => {
    const made = make("details", { class: "row" },
      make("summary", {}, strip(row),
        make("span", { class: "gist" }, say(row.question)),
        make("span", { class: "tags" }, row.tags.join(", "))));
    // A page of answers is built when it is looked at.
    made.addEventListener("toggle", () => {
      if (made.open && made.childElementCount === 1) made.append(...body(row));
    });
    return made;
  };

  const text = data.rows.map((row) => [row.id, say(row.question), ...row.targets.map(say),
    ...row.said.flatMap((one) => [one[3], one[5]].map(say))].join("\n").toLowerCase());
  const orders = {
    worst: (a, b) => a - b,
    disagree: (a, b) => data.rows[b].spread - data.rows[a].spread || a - b,
    id: (a, b) => (data.rows[a].id < data.rows[b].id ? -1 : 1),
  };
  const [find, only, order, found] =
    ["find", "only", "order", "found"].map((id) => document.getElementById(id));
  const [back, next] = ["back", "next"].map((id) => document.getElementById(id));
  const list = document.querySelector(".rows");
  let first = 0;

  const show = () => {
    const wanted = find.value.trim().toLowerCase();
    const left = data.rows.map((_, at) => at)
      .filter((at) => !only.value || data.rows[at].keys.includes(only.value))
      .filter((at) => text[at].includes(wanted))
      .sort(orders[order.value]);
    first = Math.min(first, Math.max(0, Math.floor((left.length - 1) / data.page) * data.page));
    const shown = left.slice(first, first + data.page);
    list.replaceChildren(...shown.map((at) => fold(data.rows[at])));
    const rows = left.length === 1 ? "1 row" : `${left.length} rows`;
    found.textContent = left.length > data.page
      ? `${first + 1} to ${first + shown.length} of ${rows}` : rows;
    back.disabled = first === 0;
    next.disabled = first + data.page >= left.length;
  };
  const turn = (by) => {
    first += by;
    show();
    list.scrollIntoView({ block: "nearest" });
  };
  const restart = () => { first = 0; show(); };
  find.addEventListener("input", restart);
  only.addEventListener("change", restart);
  order.addEventListener("change", restart);
  back.addEventListener("click", () => turn(-data.page));
  next.addEventListener("click", () => turn(data.page));
  tools.hidden = false;
  restart();
  if (list.firstElementChild) list.firstElementChild.open = true;
})();
