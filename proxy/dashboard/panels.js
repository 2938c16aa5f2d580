// The dashboard's panels: each shows its part of what was asked. They keep no figures but for export.

import { barsOf, Lines, Panel, swap, tableOf } from "/elision/static/charts.js";
import { added, quantile, series, together, words } from "/elision/static/figures.js";
import { dollars, make, share, short, time, whole } from "/elision/static/shared.js";

const MEASURES = {
  tokens: { title: "Tokens", all: "tokens_saved", billed: "tokens_saved_billed", show: short },
  money: { title: "Money", all: "saved", billed: "saved_billed", show: dollars },
};

const NAMES = { team: "Team", policy: "Policy", method: "Method", model: "Model", upstream: "Upstream" };
const PLURALS = { team: "team", policy: "policy", method: "method", model: "model", upstream: "upstream" };

function tile(name, value, ...notes) {
  const kind = value.startsWith("\u2212") ? "value negative" : "value";
  return make(
    "div",
    { class: "tile" },
    make("h2", {}, name),
    make("p", { class: kind }, value),
    ...notes.filter(Boolean).map((note) => make("p", { class: "quiet small" }, note)),
  );
}

function atMost(ms) {
  return ms === null ? "\u2013" : ms === Infinity ? "over 5 s" : `\u2264 ${time(ms).replace(".00", "")}`;
}

function both(billed, all, show) {
  return `${show(billed)} billed, ${show(all - billed)} estimated`;
}

// The figures in short.
export class Tiles {
  constructor() {
    this.element = document.getElementById("tiles");
  }

  show(all, about) {
    const { requests, tokens_before: before, tokens_saved: saved, prompt_tokens: prompt } = all;
    const bounds = about.overhead_bounds_ms;
    const sums = all.words ?? {};
    const reused = ["hit", "partial", "replay"].reduce((count, name) => count + (sums[`cache:${name}`] ?? 0), 0);
    const unpriced = requests - all.priced;
    this.element.replaceChildren(
      tile(
        "Tokens saved",
        short(saved),
        before ? `${share(saved, before)} of ${short(before)} looked at` : "nothing was looked at",
        saved ? both(all.tokens_saved_billed, saved, short) : "",
      ),
      tile(
        "Money saved",
        all.priced ? dollars(all.saved) : "\u2013",
        all.priced ? `net, of ${dollars(all.cost + all.saved)}` : "no model here has a known price",
        all.saved ? both(all.saved_billed, all.saved, dollars) : "",
        all.priced && unpriced ? `${whole(unpriced)} requests have no known price` : "",
      ),
      tile(
        "Requests",
        short(requests),
        `${share(all.compressed, requests)} went out shorter`,
        all.failed ? `${whole(all.failed)} failed` : "none failed",
      ),
      tile(
        "Added time",
        atMost(quantile(all.overhead, bounds, 0.5)),
        "half of the requests",
        `${atMost(quantile(all.overhead, bounds, 0.95))} for 95 %`,
      ),
      tile(
        "Provider's prefix cache",
        share(all.cached_tokens, prompt),
        prompt ? `of ${short(prompt)} billed prompt tokens read from it` : "no upstream stated usage",
      ),
      tile(
        "Elision's cache",
        share(reused, reused + (sums["cache:miss"] ?? 0)),
        "of requests to be shortened found something there",
      ),
    );
  }
}

// What was saved over time: by group, and by what it rests on.
export class Saved {
  constructor() {
    this.panel = new Panel("saved", "Saved over time");
    this.measure = "tokens";
    this.buttons = Object.entries(MEASURES).map(([name, { title }]) =>
      make("button", { type: "button", onclick: () => this.#choose(name) }, title),
    );
    const choice = make("div", { class: "choice", role: "group", "aria-label": "Measure" }, ...this.buttons);
    this.panel.tools.append(choice);
    this.panel.exports("saved", () => this.table);
    this.groups = new Lines("Lines: what was saved over time by group. The table below has the same figures.");
    this.basis = new Lines("Lines: what was saved over time, billed and estimated. The table below has it too.");
    this.holder = make("div");
    this.details = make("details", {}, make("summary", {}, "As a table"), this.holder);
    this.details.addEventListener("toggle", () => this.#fill());
    this.byTitle = make("h3", {});
    this.panel.body.append(
      make(
        "div",
        { class: "pair" },
        make("div", {}, this.byTitle, this.groups.element),
        make("div", {}, make("h3", {}, "What it rests on"), this.basis.element),
      ),
      this.details,
    );
    this.#press();
  }

  show(rows, span, by) {
    this.told = { rows, span, by };
    this.#draw();
  }

  repaint() {
    this.groups.repaint();
    this.basis.repaint();
    if (this.told) {
      this.#draw();
    }
  }

  #choose(name) {
    this.measure = name;
    this.#press();
    if (this.told) {
      this.#draw();
    }
  }

  #press() {
    const names = Object.keys(MEASURES);
    this.buttons.forEach((button, index) => button.setAttribute("aria-pressed", names[index] === this.measure));
  }

  #draw() {
    const { rows, span, by } = this.told;
    const { all, billed, show, title } = MEASURES[this.measure];
    const isDay = span.step === "day";
    const { times, names, lines } = series(rows, span, [all, billed]);
    const both = [together(lines[billed]), together(lines[all])];
    const estimated = both[1].map((value, place) => value - both[0][place]);
    const each = span.step;
    this.byTitle.textContent = `${title} by ${PLURALS[by]}, each ${each}`;
    this.groups.draw({ times, names: names.map(named), lines: lines[all], show, isDay });
    const told = [both[0] ?? [], estimated].map((line) => (line.length ? line : times.map(() => 0)));
    this.basis.draw({ times, names: ["billed", "estimated"], lines: told, show, isDay, dashes: [false, true] });
    this.table = this.#table({ times, names, lines: lines[all], told, title });
    this.#fill();
  }

  #table({ times, names, lines, told, title }) {
    const unit = this.measure === "money" ? "_nano_usd" : "_tokens";
    const show = this.measure === "money" ? dollars : whole;
    const moment = (text) => text.replace("T", " ").replace(/:00(\.000)?Z$/, "");
    return {
      caption: `${title} saved over time; times are in UTC`,
      columns: [
        { name: "at", title: "Time (UTC)", show: moment },
        ...names.map((name) => ({ name: `${named(name)}${unit}`, title: named(name), show, number: true })),
        { name: `billed${unit}`, title: "Billed", show, number: true },
        { name: `estimated${unit}`, title: "Estimated", show, number: true },
      ],
      rows: times.map((at, place) => [
        new Date(at * 1000).toISOString(),
        ...lines.map((line) => line[place]),
        told[0][place],
        told[1][place],
      ]),
    };
  }

  #fill() {
    if (this.details.open && this.table) {
      swap(this.holder, tableOf(this.table));
    }
  }
}

function named(name) {
  return name === "" ? "(the only one)" : name;
}

// One line for each group.
export class Groups {
  constructor() {
    this.panel = new Panel("groups", "Compared", "Saved money is net: what the provider's own cache would have made cheap is not counted, and a loss is shown as one.");
    this.panel.exports("compared", () => this.table);
  }

  show(rows, by) {
    this.panel.title = `By ${PLURALS[by]}`;
    const told = rows.map(({ labels, sums }) => [
      labels[0],
      sums.requests,
      sums.compressed,
      sums.tokens_before,
      sums.tokens_after,
      sums.tokens_saved,
      sums.tokens_saved_billed,
      sums.tokens_audited,
      sums.priced ? sums.cost : null,
      sums.priced ? sums.saved : null,
      sums.priced ? sums.saved_billed : null,
      sums.requests ? sums.overhead_us / sums.requests / 1000 : null,
    ]);
    told.sort((one, other) => other[5] - one[5] || other[1] - one[1]);
    const number = (name, title, show = whole) => ({ name, title, show, number: true });
    this.table = {
      caption: `Requests, tokens and money by ${PLURALS[by]}`,
      columns: [
        { name: by, title: NAMES[by], show: named },
        number("requests", "Requests"),
        number("compressed", "Shorter"),
        number("tokens_before", "Tokens before", short),
        number("tokens_after", "Tokens after", short),
        number("tokens_saved", "Tokens saved", short),
        number("tokens_saved_billed", "of it billed", short),
        number("tokens_audited", "In audit", short),
        number("cost_nano_usd", "Cost", dollars),
        number("saved_nano_usd", "Money saved", dollars),
        number("saved_billed_nano_usd", "of it billed", dollars),
        number("overhead_ms_mean", "Added, mean", time),
      ],
      rows: told,
    };
    this.panel.put(tableOf(this.table));
  }
}

// A panel with bars, one for each bucket or word.
export class Bars {
  constructor(id, title, kind, note = "") {
    this.panel = new Panel(id, title, note);
    this.kind = kind;
    this.groups = [];
    this.panel.exports(id, () => this.#table());
  }

  // Shows groups of [title, [[name, value], ...], show].
  show(groups, nothing) {
    this.groups = groups.filter(([, entries]) => entries.length);
    const shown = this.groups.flatMap(([title, entries, format = whole]) => [
      title ? make("h3", {}, title) : null,
      barsOf(title || this.panel.title, this.kind, entries, format),
    ]);
    const empty = make("p", { class: "quiet" }, nothing);
    this.panel.put(...(shown.length ? shown.filter(Boolean) : [empty]));
  }

  #table() {
    const rows = this.groups.flatMap(([title, entries]) => entries.map(([name, value]) => [title, name, value]));
    return { columns: ["group", "name", "value"].map((name) => ({ name })), rows };
  }
}

export function ratioBars(all, about) {
  const bounds = about.ratio_bounds;
  const entries = (all.ratios ?? []).map((count, index) => {
    const low = index ? bounds[index - 1] : 0;
    const percent = (part) => Math.round(100 * part);
    return [index < bounds.length ? `${percent(low)}\u2013${percent(bounds[index])} %` : "over 100 %", count];
  });
  return all.compressed ? [["", trimmed(entries)]] : [];
}

export function overheadBars(all, about) {
  const bounds = about.overhead_bounds_ms;
  const plain = (ms) => (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`);
  const entries = (all.overhead ?? []).map((count, index) => [
    index < bounds.length ? `\u2264 ${plain(bounds[index])}` : `> ${plain(bounds.at(-1))}`,
    count,
  ]);
  return all.requests ? [["", trimmed(entries)]] : [];
}

// Leaves out empty buckets at both ends.
function trimmed(entries) {
  const first = entries.findIndex(([, count]) => count);
  const last = entries.findLastIndex(([, count]) => count);
  return first < 0 ? [] : entries.slice(first, last + 1);
}

export function cacheBars(all) {
  const uncached = all.prompt_tokens - all.cached_tokens;
  const provider = all.prompt_tokens
    ? [["read from it", all.cached_tokens], ["not in it", uncached], ["written to it", all.cache_write_tokens]]
    : [];
  return [
    ["Elision's cache, requests", words(all, "cache")],
    ["The provider's prefix cache, prompt tokens", provider.filter(([, count]) => count), short],
  ];
}

export function segmentBars(all) {
  const after = new Map(words(all, "segment_after"));
  const entries = words(all, "segment_before").flatMap(([kind, before]) => [
    [`${kind}, before`, before],
    [`${kind}, after`, after.get(kind) ?? 0],
  ]);
  return [["", entries, short]];
}

// How requests went that went out shorter, beside those that went out as they came.
export class Quality {
  constructor() {
    this.panel = new Panel("quality", "Shortened against passed through", "If shortening hurt answers, it would show here first.");
    this.panel.exports("quality", () => this.table);
  }

  show(rows) {
    const shorter = added(rows.filter(({ sums }) => sums.compressed));
    const asSent = added(rows.filter(({ sums }) => !sums.compressed));
    const both = [shorter, asSent];
    const rejected = (shorter.rejected ?? 0) + (asSent.rejected ?? 0);
    const finishes = [...new Set(both.flatMap((sums) => words(sums, "finish").map(([name]) => name)))].sort();
    const part = (title, count) => [title, ...both.map((sums) => this.#share(sums, count))];
    const rows_ = [
      ["Requests", ...both.map(({ requests = 0 }) => whole(requests))],
      part("Answered 4xx by the upstream", (sums) => statuses(sums, 400, 500)),
      part("Failed: 5xx, or broken off", (sums) => sums.failed),
      part("Asked again within a minute", (sums) => sums.retried),
      ...finishes.map((name) => part(`Ended with ${name}`, (sums) => sums.words?.[`finish:${name}`] ?? 0)),
      ["Tokens of an answer, mean", ...both.map((sums) => mean(sums.completion_tokens, sums.confirmed, whole))],
      ["Added time, mean", ...both.map((sums) => mean(sums.overhead_us / 1000, sums.requests, time))],
      ["Refused when shortened, then sent as it came", "\u2013", this.#share(asSent, () => rejected)],
    ];
    this.table = {
      caption: "Signs of quality, of requests that went out shorter and of those that went out as they came",
      columns: [
        { name: "sign", title: "" },
        { name: "shortened", title: "Shortened", text: false, number: true },
        { name: "passed_through", title: "Passed through", number: true },
      ],
      rows: rows_,
    };
    this.panel.put(tableOf(this.table));
  }

  #share(sums, count) {
    return sums.requests ? `${whole(count(sums))} (${share(count(sums), sums.requests)})` : "\u2013";
  }
}

function mean(sum, count, show) {
  return count ? show(sum / count) : "\u2013";
}

function statuses(sums, low, high) {
  return words(sums, "status").reduce((all, [code, count]) => all + (code >= low && code < high ? count : 0), 0);
}

const STATES = { within: "within", alert: "near its end", over: "over", "": "no budget" };

// What teams cost this month against what they mean to spend.
export class Spending {
  constructor() {
    this.panel = new Panel("spending", "This month's spending", "By calendar month in UTC; shown, never enforced. What a team means to spend stands in its policy.");
    this.panel.exports("spending", () => this.table);
  }

  show({ month, teams }) {
    this.panel.title = `Spending in ${month}`;
    const usd = (value) => dollars(value * 1e9);
    this.table = {
      caption: `Spending by team in ${month}`,
      columns: [
        { name: "team", title: "Team" },
        { name: "spent_usd", title: "Spent", show: usd, number: true },
        { name: "monthly_usd", title: "Budget", show: usd, number: true },
        { name: "used", title: "Used", show: gauge },
        { name: "state", title: "State", show: (state) => make("span", { class: `state ${state}` }, STATES[state]) },
        { name: "saved_usd", title: "Saved", show: usd, number: true },
        { name: "unpriced", title: "Without a price", show: whole, number: true },
      ],
      rows: teams.map((team) => [
        team.team, team.spent_usd, team.monthly_usd, team.used, team.state, team.saved_usd, team.unpriced,
      ]),
    };
    this.panel.put(tableOf(this.table));
  }
}

function gauge(used) {
  const bar = make("span", { class: "length" });
  bar.style.inlineSize = `${Math.min(100, 100 * used)}%`;
  return make("span", { class: "gauge" }, make("span", { class: "groove", "aria-hidden": "true" }, bar), share(used, 1));
}
