"use strict";
/* The rule of advisor/decide/rule.py over what was measured, under any numbers. Pure.
   Costs are those of measures/cost.py, tests those of stats/differences.py, bars those of
   measures/standing.py; tests/test_whatif.py holds both to the same answers. */
const deciding = (() => {
  /* ---- costs, in USD */

  const again = (horizon, months) =>
    months === Infinity ? 0 : Math.max(0, Math.ceil(horizon / months - 1e-9) - 1);

  const priced = (one, rules, data) => {
    const calls = rules.volume * rules.horizon;
    // Months until as many answers are stale as may be, where `share` of the facts go stale.
    const until = (share) =>
      rules.churn * share > 0 ? data.renewal / (rules.churn * share) : Infinity;
    const months = until(one.stale_learnt);
    const byFacts = again(rules.horizon, months);
    const byBase = again(rules.horizon, rules.base_replaced ?? Infinity);
    const retunes = one.tuned ? byFacts + byBase : 0;
    const reindexes = again(rules.horizon, until(one.stale_index));
    const changed = byFacts ? 1 - Math.exp(-rules.churn * months) : 0;
    const perSecond = rules["price.machine_hour"] / 3600;
    const other = Math.max(0, one.prepare_seconds - one.tuning_seconds);
    let fixed = rules["price.label"] * one.rows_learnt * (1 + byFacts * changed);
    fixed += perSecond
      * (one.tuning_seconds * (1 + retunes) + other * (1 + reindexes));
    fixed += one.usd_paid * (rules["price.tokens"] ?? 1) * (1 + retunes);
    const serving = one.usd_tokens === null
      ? perSecond * one.seconds / rules["price.utilisation"] * 1000
      : one.usd_tokens * rules["price.tokens"];
    const allIn = serving + fixed / calls * 1000; // for 1,000 calls
    return { serving, fixed, allIn, month: allIn * rules.volume / 1000 };
  };

  /* ---- what bars a contender */

  const gated = (gate, rules, data) => {
    const margin = rules[gate.rule];
    const judged = gate.low === null
      ? gate.judged : gate.low > gate.chance + data.clearance * margin;
    if (!judged) return "cannot_gate";
    if (gate.upper <= margin) return "pass";
    return gate.lower > margin ? "fail" : "inconclusive";
  };

  const bars = (one, rules, data) => {
    const found = [];
    for (const gate of one.gates) {
      const state = gated(gate, rules, data);
      // Another seed than the one that ships bars only by a failure.
      if (gate.first ? state !== "pass" : state === "fail") found.push({ kind: "gate", gate, state });
    }
    if (rules.latency !== null && one.p95 > rules.latency) found.push({ kind: "latency" });
    if (one.failed > rules.max_failed * one.asked) found.push({ kind: "failed" });
    return found;
  };

  /* ---- Student's distribution */

  // Gamma(a + 1/2) / Gamma(a): its series (Tricomi and Erdelyi 1951) far out, and back.
  const gammaRatio = (a) => {
    let back = 1;
    for (; a < 30; a += 1) back *= a / (a + 0.5);
    const s = 1 / (a * a);
    const series = (-1 / 8 + s * (1 / 192 + s * (-1 / 640 + s * (17 / 14336 - s * 31 / 18432)))) / a;
    return back * Math.sqrt(a) * Math.exp(series);
  };

  // The incomplete beta function over x^a y^b / B(a, b), y being 1 - x, where (a + b) y >= b:
  // Didonato and Morris (1992), formula 9, by Lentz's method. Near x = 1 it rests on y.
  const fraction = (a, b, x, y) => {
    const surplus = (a + b) * y - b;
    let value = a / (a + 1) * (surplus + 1);
    let c = value;
    let d = 0;
    for (let n = 1; n < 5000; n += 1) {
      const step = a + 2 * n - 1;
      const alpha = (a + n - 1) * (a + b + n - 1) * n * (b - n) * x * x / (step * step);
      const beta = n + n * (b - n) * x / step + (a + n) / (step + 2) * (surplus + 1 + n * (1 + y));
      d = 1 / (beta + alpha * d);
      c = beta + alpha / c;
      value *= c * d;
      if (Math.abs(c * d - 1) < 1e-16) break;
    }
    return 1 / value;
  };

  /* The chance of more than t under Student's distribution. */
  const tail = (t, freedom) => {
    if (t === 0) return 0.5;
    const a = freedom / 2;
    const ratio = t * t / freedom;
    const [x, rest] = ratio === Infinity ? [0, 1] : [1 / (1 + ratio), ratio / (1 + ratio)];
    // x^a (1 - x)^(1/2) / B(a, 1/2)
    const front = Math.exp(-a * Math.log1p(ratio)) * Math.sqrt(rest / Math.PI) * gammaRatio(a);
    const outside = (a + 0.5) * rest >= 0.5
      ? front * fraction(a, 0.5, x, rest) : 1 - front * fraction(0.5, a, rest, x);
    return t > 0 ? outside / 2 : 1 - outside / 2;
  };

  /* ---- tests of a pair */

  const implied = (gap, mean) => {
    const size = Math.abs(mean);
    const squared = gap.design * size * (gap.step - size) / gap.n;
    return Math.sqrt(Math.max(0, squared) + gap.between ** 2);
  };

  /* One-sided p-value against "the difference is `than` or less". */
  const pGreater = (gap, than) => {
    const above = gap.value - than;
    if (above <= 0 && !gap.error) return above < 0 ? 1 : 0.5;
    const chances = [2 ** -gap.clusters];
    if (gap.error) chances.push(tail(above / gap.error, gap.freedom));
    const least = implied(gap, than);
    if (least) chances.push(tail(above / least, gap.most));
    return Math.max(...chances);
  };

  const holm = (chances) => {
    const order = chances.map((_, at) => at).sort((a, b) => chances[a] - chances[b] || a - b);
    const adjusted = [];
    let running = 0;
    order.forEach((at, rank) => {
      running = Math.max(running, Math.min(1, (chances.length - rank) * chances[at]));
      adjusted[at] = running;
    });
    return adjusted;
  };

  /* The first of those for which `key` is greatest. */
  const top = (found, key) => found.reduce((best, one) => (key(one) > key(best) ? one : best));

  /* ---- the rule; `data` is what advisor/report/whatif.py wrote */

  const gapsOf = (data) => {
    const gaps = new Map();
    for (const gap of data.pairs) {
      gaps.set(`${gap.one} ${gap.other}`, gap);
      gaps.set(`${gap.other} ${gap.one}`, { ...gap, value: -gap.value });
    }
    return (one, other) => gaps.get(`${one.at} ${other.at}`);
  };

  /* {outcome, winner, lead, pair, standings}; standings ascend in price and say each one's
     `state`: floor, barred, below, worse, sound, open or won. */
  const decide = (data, rules) => {
    const gap = gapsOf(data);
    const { alpha } = data;
    const standings = data.contenders.map((one, at) => (
      { ...one, at, ...priced(one, rules, data), bars: bars(one, rules, data), state: "" }));
    // Contenders are written in the order of their names, which breaks ties of price.
    standings.sort((a, b) => a.allIn - b.allIn || a.at - b.at);
    const floor = standings.find((one) => one.name === data.floor);
    const allowed = standings.filter((one) => !one.bars.length && one !== floor);
    const beats = floor
      ? holm(allowed.map((one) => pGreater(gap(one, floor), 0))) : allowed.map(() => 0);
    const able = allowed.filter((_, at) => beats[at] <= alpha);
    for (const one of standings) {
      one.state = one === floor ? "floor" : one.bars.length ? "barred" : "below";
    }
    if (!able.length) return { outcome: "none_feasible", winner: null, lead: null, pair: null, standings };
    const { lead, pair } = choose(able, gap, rules, data);
    const outcome = pair ? "cannot_tell" : "recommend";
    return { outcome, winner: pair ? null : lead.name, lead: lead.name, pair, standings };
  };

  const choose = (able, gap, rules, data) => {
    const { alpha } = data;
    const worth = rules.value;
    const saved = (one, other) => (worth === null ? 0 : (other.allIn - one.allIn) / 1000 / worth);
    const net = (one) => (worth === null ? one.quality : one.quality - one.allIn / 1000 / worth);
    const samePrice = (one, other) => {
      const [low, high] = [one.allIn, other.allIn].sort((a, b) => a - b);
      return high <= data.same_price * low;
    };
    const bestOfPrice = (ascending) =>
      top(ascending.filter((one) => samePrice(ascending[0], one)), (one) => one.quality);
    // The p-value of "it loses the margin or more, net, to somebody", and to whom.
    const risk = (one) => {
      let [worst, rival] = [0, one];
      for (const other of able) {
        if (other === one) continue;
        const seen = gap(one, other);
        const ahead = seen.value >= 0 && samePrice(one, other);
        const chance = ahead && seen.gain <= rules.margin
          ? 0 : pGreater(seen, -rules.margin - saved(one, other));
        if (chance >= worst) [worst, rival] = [chance, other];
      }
      return { worst, rival };
    };

    const best = top(able, net);
    const others = able.filter((one) => one !== best);
    const chances = holm(others.map((one) => pGreater(gap(best, one), -saved(best, one))));
    const worse = new Set(others.filter((_, at) => chances[at] <= alpha));
    const risks = new Map(able.map((one) => [one, risk(one)]));
    const finalists = able.filter((one) => !worse.has(one) || risks.get(one).worst <= alpha);
    const adjusted = holm(finalists.map((one) => risks.get(one).worst));
    const sound = finalists.filter((_, at) => adjusted[at] <= alpha);
    for (const one of able) {
      one.state = sound.includes(one) ? "sound" : worse.has(one) ? "worse" : "open";
      one.rival = one.state === "worse" ? best.name : risks.get(one).rival.name;
    }
    const winner = sound.length ? bestOfPrice(sound) : null;
    const unsettled = finalists.filter((one) => winner && one.state === "open"
      && (one.allIn < winner.allIn || (one.allIn === winner.allIn && one.at < winner.at))
      && !samePrice(one, winner));
    if (winner && !unsettled.length) {
      winner.state = "won";
      return { lead: winner, pair: null };
    }
    const enough = net(best) - rules.margin;
    const lead = bestOfPrice(finalists.filter((one) => net(one) >= enough));
    const stuck = unsettled.length ? top(unsettled, net) : lead;
    return { lead, pair: [stuck.name, risks.get(stuck).rival.name] };
  };

  return { decide, pGreater, tail };
})();
