// The dashboard's lists: recent requests, the policies and what is wrong with them, and what newcomers do first.

import { Panel, tableOf } from "/elision/static/charts.js";
import { clock, dollars, make, time, whole } from "/elision/static/shared.js";

const ORDERS = { newest: "Newest", slowest: "Slowest", largest: "Largest" };

// Recent requests: numbers and short words.
export class Recents {
  // `asked` is called when another order is chosen.
  constructor(asked) {
    this.panel = new Panel("recent", "Recent requests", "Numbers only: texts are never kept. Slowest by the time that Elision added, largest by tokens before.");
    this.order = "newest";
    this.buttons = Object.entries(ORDERS).map(([order, title]) =>
      make("button", { type: "button", onclick: () => this.#choose(order, asked) }, title),
    );
    this.panel.tools.append(make("div", { class: "choice", role: "group", "aria-label": "Order" }, ...this.buttons));
    this.panel.exports("recent", () => this.table);
    this.#press();
  }

  show(requests) {
    const number = (name, title, show = whole) => ({ name, title, show, number: true });
    this.table = {
      caption: `${ORDERS[this.order]} requests`,
      columns: [
        { name: "at", title: "Time", show: (at) => clock(new Date(at)) },
        { name: "team", title: "Team" },
        { name: "method", title: "Method" },
        { name: "model", title: "Model" },
        number("status", "Status", String),
        number("tokens_before", "Tokens before"),
        number("tokens_after", "After"),
        number("tokens_saved", "Saved"),
        number("saved_nano_usd", "Money", dollars),
        { name: "basis", title: "Basis" },
        { name: "cache", title: "Cache" },
        { name: "bypass", title: "Bypass" },
        number("overhead_ms", "Added", time),
        number("total_ms", "In all", time),
        { name: "request_id", title: "Id", show: (id) => make("code", { title: id }, id.slice(0, 8)) },
      ],
      rows: requests.map((one) => [
        new Date(one.at * 1000).toISOString(), one.team, one.method, one.model, one.status, one.tokens_before,
        one.tokens_after, one.tokens_saved, one.saved, one.basis, one.cache, one.bypass, one.overhead_ms,
        one.total_ms, one.request_id,
      ]),
    };
    this.panel.put(tableOf(this.table));
  }

  #choose(order, asked) {
    this.order = order;
    this.#press();
    asked();
  }

  #press() {
    const orders = Object.keys(ORDERS);
    this.buttons.forEach((button, index) => button.setAttribute("aria-pressed", orders[index] === this.order));
  }
}

// Which policies there are, and what is in their way.
export class Policies {
  constructor() {
    this.panel = new Panel("policies", "Policies");
  }

  show({ policies, refused, warnings, health }) {
    const faults = [
      ...problems("These files are refused; the policies below stay as they were.", "bad", refused),
      ...troubles(health),
      ...problems("Figures of requests wait in memory: the latest are not shown.", "bad", health.accounts ? [{ message: health.accounts }] : []),
      ...problems("This works, and is unwise.", "", warnings),
    ];
    const nothing = make("p", {}, "No policies are loaded, so nothing is shortened: start the proxy with ", make("code", {}, "--policies DIR"), ".");
    const badge = document.getElementById("health");
    badge.hidden = health.ready && !refused.length;
    badge.textContent = refused.length ? "Policies refused" : "Not ready";
    this.panel.note.textContent = health.ready ? "Ready: all that they ask for is carried out." : "Not ready.";
    this.panel.note.className = health.ready ? "small state within" : "small state over";
    this.panel.put(...faults, policies.length ? tableOf(listed(policies)) : nothing);
  }
}

function listed(policies) {
  return {
    caption: "Policies that are loaded",
    columns: [
      { title: "Team" },
      { title: "Policy", show: (label) => make("code", {}, label) },
      { title: "Mode" },
      { title: "Methods" },
      { title: "Extends" },
      { title: "Rules", number: true },
      { title: "Deadline", show: time, number: true },
    ],
    rows: policies.map((one) => [
      one.is_default ? `${one.team} (and all others)` : one.team, one.policy, one.mode,
      one.methods.join(", ") || "none", one.extends || "\u2013", one.rules, one.deadline_ms,
    ]),
  };
}

function problems(title, kind, found) {
  const lines = found.map(({ file, line, column, message }) => {
    const place = [file, line, column].filter(Boolean).join(":");
    return make("li", {}, place ? make("code", {}, place) : null, place ? " " : null, message);
  });
  return found.length ? [make("div", { class: `notice ${kind}` }, make("p", {}, title), make("ul", {}, ...lines))] : [];
}

// What else is in the way: methods without weights, tokenizers that are missing.
function troubles(health) {
  const found = ["methods", "tokenizers"].flatMap((group) =>
    Object.entries(health[group] ?? {}).map(([name, message]) => ({ message: `${name}: ${message}` })),
  );
  return problems("This cannot be carried out now; requests go out as they came.", "bad", found);
}

// What to do first: `isFirst` says that there never was a request, else none is in the time that is shown.
export function start(element, { isFirst, hasPolicies }) {
  const base = `${location.origin}/v1`;
  const title = make("h2", { id: "start-title" }, isFirst ? "No requests yet" : "No requests here");
  if (!isFirst) {
    element.replaceChildren(title, make("p", {}, "None in this time with these choices. Choose a longer time, or show all."));
    return;
  }
  const lines = [`export OPENAI_BASE_URL=${base}`, `curl $OPENAI_BASE_URL/models -H "Authorization: Bearer $OPENAI_API_KEY"`];
  const told = make("p", { class: "small quiet", role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(lines.join("\n"));
    told.textContent = "Copied.";
  };
  element.replaceChildren(
    title,
    make("p", {}, "Point a client here; its key stays its own. The first request appears on this page by itself:"),
    make("pre", { tabindex: 0 }, make("code", {}, lines.join("\n"))),
    navigator.clipboard ? make("button", { type: "button", onclick: copy }, "Copy both lines") : null,
    told,
    make(
      "p",
      { class: "quiet" },
      hasPolicies
        ? make("span", {}, "A team has a base URL of its own: ", make("code", {}, `${location.origin}/t/TEAM/v1`), ".")
        : make("span", {}, "No policies are loaded, so requests pass through unchanged. Start the proxy with ", make("code", {}, "--policies DIR"), " to shorten prompts."),
    ),
  );
}
