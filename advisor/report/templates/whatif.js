/* The panel around deciding.js: fields and sliders in, a verdict and a table out. */
(() => {
  const section = document.getElementById("what-if");
  if (!section) return;
  const data = JSON.parse(document.getElementById("what-if-data").textContent);
  const part = (id) => document.getElementById(`if-${id}`);
  const START = "#what-if?";

  /* ---- numbers and the text of fields. Hundredths move the decimal point, so that no
     division rounds: 2.3% is the same number as 0.023 at the command line. */

  const shifted = (text, places) => {
    const [mantissa, exponent] = text.toLowerCase().split("e");
    return Number(`${mantissa}e${Number(exponent ?? 0) + places}`);
  };
  const plain = (value) => (value >= 1e-6 && value < 1e15 && !String(value).includes("e")
    ? String(value) : String(value).replace("e+", "e"));
  const written = (knob, value) => {
    if (value === null) return "";
    return plain(knob.percent ? shifted(String(value), 2) : value);
  };
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  /* {value} or {fault}, by the same bounds as `advisor decide --set`. */
  const read = (knob, text) => {
    const given = text.trim().replaceAll("_", "");
    if (knob.optional && ["", "none", "null"].includes(given.toLowerCase())) return { value: null };
    const value = NUMBER.test(given) ? shifted(given, knob.percent ? -2 : 0) : NaN;
    const inside = value > knob.low || (knob.at_low && value === knob.low);
    if (Number.isFinite(value) && inside && (knob.high === null || value <= knob.high)) return { value };
    const low = written(knob, knob.low);
    const least = knob.at_low ? `${low} or more` : `more than ${low}`;
    const most = knob.high === null ? "" : ` and at most ${written(knob, knob.high)}`;
    const none = knob.optional ? ", or nothing" : "";
    const comma = /^\d{1,3}(,\d{3})+$/.test(given) ? `; write ${given.replaceAll(",", "")}` : "";
    return { fault: `Expected a number of ${least}${most}${none}${comma}. The verdict stays as it was.` };
  };

  /* ---- sliders: a thousand steps, in ratios or even; the right end of an optional one is none */

  const STEPS = 1000;
  const position = (knob, value) => {
    if (value === null) return STEPS;
    const share = knob.ratio
      ? Math.log(value / knob.least) / Math.log(knob.most / knob.least)
      : (value - knob.least) / (knob.most - knob.least);
    const last = knob.optional ? STEPS - 1 : STEPS;
    return Math.round(Math.min(Math.max(share * STEPS, 0), last));
  };
  const valueAt = (knob, at) => {
    if (knob.optional && at === STEPS) return null;
    const share = at / STEPS;
    const value = knob.ratio
      ? knob.least * (knob.most / knob.least) ** share
      : knob.least + (knob.most - knob.least) * share;
    return Number(value.toPrecision(3));
  };

  /* ---- words */

  const usd = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "$0";
    const sign = value < 0 ? "\u2212" : "";
    if (size >= 1e15) return `${sign}$${size.toExponential(2)}`;
    if (size >= 99.995) return `${sign}$${Math.round(size).toLocaleString("en-US")}`;
    if (size >= 0.995) return `${sign}$${size.toFixed(2)}`;
    return size < 1e-6 ? `${sign}<$0.000001` : `${sign}$${Number(size.toPrecision(2)).toFixed(
      Math.min(20, Math.max(2, 1 - Math.floor(Math.log10(size)))))}`;
  };
  const points = (share) => (share * 100).toFixed(1);

  const advice = (found) => {
    if (found.outcome === "none_feasible") return "none of these may be used";
    if (found.outcome === "recommend") return `use ${found.winner}`;
    return `cannot tell yet: ${found.pair[0]} or ${found.pair[1]}`;
  };
  const short = (found) => (found.winner ? `use ${found.winner}`
    : found.outcome === "cannot_tell" ? "cannot tell yet" : "none may be used");
  const OPENING = { recommend: "Recommended", cannot_tell: "Undecided", none_feasible: "None fits" };

  const barred = (one, rules) => (bar) => {
    if (bar.kind === "latency") return `p95 ${Math.round(one.p95)} ms, over the limit`;
    if (bar.kind === "failed") return `${one.failed} of ${one.asked} calls failed`;
    const { gate, state } = bar;
    const where = gate.suite === "pooled" ? "" : ` on ${gate.suite.replaceAll("_", " ")}`;
    const at = gate.first ? "" : ` at seed ${gate.seed}`;
    if (state === "cannot_gate") return `forgetting${where} cannot be judged`;
    const size = (value) => (gate.unit === "points" ? points(value) : value.toFixed(3));
    return `forgets${where}${at}: may lose ${size(gate.upper)}, margin ${size(rules[gate.rule])}`
      + (state === "inconclusive" ? ", not shown either way" : "");
  };

  const said = (one, found, rules) => {
    switch (one.state) {
      case "floor": return "what the others must beat";
      case "barred": return one.bars.map(barred(one, rules)).join("; ");
      case "below": return "not shown to beat the floor";
      case "worse": return `measurably worse than ${one.rival}`;
      case "won": return "recommended";
      case "sound": return found.winner ? `good enough; ${found.winner} is preferred` : "good enough";
      default: return `may lose more than the margin to ${one.rival}`;
    }
  };

  const make = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, given] of Object.entries(attributes)) made.setAttribute(key, given);
    made.append(...children); // strings become text, never markup
    return made;
  };

  /* ---- the panel */

  const knobs = data.knobs.map((knob) => {
    const box = section.querySelector(`[data-knob="${knob.name}"]`);
    const [field, slider] = box.querySelectorAll("input");
    return { ...knob, box, field, slider, fault: box.querySelector(".fault") };
  });
  const measured = deciding.decide(data, data.rules);
  const months = new Map(measured.standings.map((one) => [one.name, one.month]));
  let rules = { ...data.rules };

  const changes = () => knobs.filter((knob) => rules[knob.name] !== data.rules[knob.name]);
  const spelt = (value) => (value === null ? "none" : plain(value));

  const show = () => {
    const found = deciding.decide(data, rules);
    const changed = changes();
    section.dataset.outcome = found.outcome;
    section.dataset.winner = found.winner ?? "";
    part("outcome").className = `outcome ${found.outcome}`;
    part("outcome").textContent = OPENING[found.outcome];
    const line = advice(found);
    part("headline").textContent = `${line[0].toUpperCase()}${line.slice(1)}.`;
    const same = found.outcome === measured.outcome && found.winner === measured.winner;
    part("was").textContent = !changed.length ? "These are the numbers of the report."
      : same ? "The report says the same." : `The report, with its own numbers: ${short(measured)}.`;
    section.classList.toggle("differs", !same);
    section.querySelector(".if-standings").classList.toggle("worthless", rules.value === null);
    section.querySelector("tbody").replaceChildren(...found.standings.map((one) =>
      make("tr", { class: one.state, "data-name": one.name },
        make("th", { scope: "row" }, make("b", {}, one.name),
          make("small", {}, said(one, found, rules))),
        make("td", { "data-usd": one.month }, usd(one.month)),
        make("td", {}, usd(months.get(one.name))),
        make("td", { class: "worth" }, rules.value === null ? ""
          : usd(rules.volume * (rules.value * one.quality - one.allIn / 1000))),
        make("td", {}, `${points(one.quality)}%`))));
    const sets = changed.map((knob) => ` --set ${knob.name}=${spelt(rules[knob.name])}`);
    part("command").textContent = `advisor decide reports/${data.task}${sets.join("")}`;
    part("reset").disabled = !changed.length && knobs.every((knob) => knob.fault.hidden);
    keep(changed);
  };

  /* The numbers that differ stand in the address, so that a link shows the same. */
  const keep = (changed) => {
    const pairs = changed.map((knob) => `${knob.name}=${spelt(rules[knob.name])}`);
    if (!pairs.length && !location.hash.startsWith(START)) return;
    const to = pairs.length ? START + pairs.join("&") : "#what-if";
    if (location.hash !== to) history.replaceState(null, "", to);
  };

  const complain = (knob, fault) => {
    knob.fault.textContent = fault;
    knob.fault.hidden = !fault;
    if (fault) knob.field.setAttribute("aria-invalid", "true");
    else knob.field.removeAttribute("aria-invalid");
  };

  const draw = (knob) => {
    const value = rules[knob.name];
    knob.slider.value = position(knob, value);
    knob.slider.setAttribute("aria-valuetext",
      value === null ? "none" : `${written(knob, value)} ${knob.unit}`.trim());
    knob.box.classList.toggle("changed", value !== data.rules[knob.name]);
  };

  const typed = (knob) => {
    const { value, fault } = read(knob, knob.field.value);
    complain(knob, fault ?? "");
    if (!fault) rules[knob.name] = value;
    draw(knob);
    show();
  };

  const slid = (knob) => {
    rules[knob.name] = valueAt(knob, Number(knob.slider.value));
    knob.field.value = written(knob, rules[knob.name]);
    complain(knob, "");
    draw(knob);
    show();
  };

  const reset = () => {
    rules = { ...data.rules };
    for (const knob of knobs) {
      knob.field.value = written(knob, rules[knob.name]);
      complain(knob, "");
      draw(knob);
    }
  };

  /* Takes the numbers of the address; what it cannot read it says at the field. */
  const follow = () => {
    if (!location.hash.startsWith(START)) return false;
    reset();
    for (const pair of location.hash.slice(START.length).split("&")) {
      const [name, text = ""] = pair.split("=");
      const knob = knobs.find((one) => one.name === name);
      if (!knob) continue;
      const { value, fault } = read({ ...knob, percent: false }, text);
      if (fault) complain(knob, fault);
      else rules[name] = value;
      knob.field.value = fault ? text : written(knob, value);
      draw(knob);
    }
    return true;
  };

  for (const knob of knobs) {
    knob.field.addEventListener("input", () => typed(knob));
    knob.slider.addEventListener("input", () => slid(knob));
  }
  part("form").addEventListener("submit", (event) => event.preventDefault());
  part("reset").addEventListener("click", () => { reset(); show(); });
  addEventListener("hashchange", () => { if (follow()) show(); });

  section.hidden = false;
  for (const link of document.querySelectorAll("[data-if]")) link.hidden = false;
  reset();
  const linked = follow();
  show();
  if (linked) section.scrollIntoView();
})();
