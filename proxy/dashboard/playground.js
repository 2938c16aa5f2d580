// The playground: asks what becomes of a prompt and shows it. What was pasted is only ever set as text.

import { ask, dollars, make, Refused, share, themeSwitch, time, whole } from "/elision/static/shared.js";

const API = "/elision/api/playground";
const WAIT_MS = 250;
const EXAMPLE = `The mill at Ashby was built in 1764 by Thomas Reed, who had made his money in the wool trade and \
wished to leave something of use behind him. It stood on the left bank of the river, a little above the old stone \
bridge, and drew its water through a channel that was some 240 metres long and had cost him, as his ledger says, \
no less than £1,150. For the greater part of a century it ground the corn of eleven villages, and there was hardly \
a family in the valley that did not send a son to work there at one time or another.

In the spring of 1838 the river rose to a height that nobody living had seen before. The wheel was torn from its \
bearings, the lower floor was filled with mud to the height of a man, and the miller's two daughters were taken out \
through a window of the upper floor by a boatman called Harris. The owner at that time was not insured. He sold the \
building to Margaret Cole, who had it mended within the year and put in the iron wheel that visitors are shown today.

The mill was closed in 1911, when it could no longer compete with the steam mills of the town. It was used as a \
store for hay, then not at all, until a society was founded to keep it; the society's records are at \
https://example.org/ashby/records and are open to everybody.

Who had the iron wheel put in, and why?`;

const at = (id) => document.getElementById(id);
let running = null;
let timer = 0;
let hasResult = false;

function asked() {
  return {
    prompt: at("prompt").value,
    team: at("team").value,
    method: at("method").value,
    rate: at("by-policy").checked ? null : Number(at("rate").value) / 100,
    model: at("model").value.trim(),
  };
}

function trouble(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

// Tries what the form says. A newer question ends the one under way.
async function attempt() {
  clearTimeout(timer);
  running?.abort();
  if (!at("prompt").value.trim()) {
    at("prompt").focus();
    at("working").textContent = "Paste a prompt first.";
    return;
  }
  const own = (running = new AbortController());
  at("working").textContent = "Shortening…";
  at("result").classList.add("stale");
  try {
    const { data } = await ask(API, { method: "POST", body: asked(), signal: own.signal });
    trouble("");
    show(data);
    at("working").textContent = `Done: ${whole(data.tokens.before)} tokens before, ${whole(data.tokens.after)} after.`;
  } catch (error) {
    if (own.signal.aborted) {
      return;
    }
    at("working").textContent = "";
    trouble(error instanceof Refused ? error.message : "The proxy does not answer. Is it running?");
  }
  at("result").classList.remove("stale");
}

// Tries again a moment after something was changed, once there is a result to change.
function soon() {
  if (hasResult) {
    clearTimeout(timer);
    timer = setTimeout(attempt, WAIT_MS);
  }
}

function tile(name, large, small) {
  return make("dl", { class: "tile" }, make("dt", {}, name), make("dd", { class: "large" }, large),
    make("dd", { class: "quiet small" }, small));
}

function figures(data) {
  const { before, after } = data.tokens;
  const tiles = [
    tile("Tokens", `${whole(before)} → ${whole(after)}`, `counted by ${data.encoding || "nobody"}`),
    tile("Saved", share(before - after, before), `${whole(before - after)} tokens`),
  ];
  if (data.cost) {
    tiles.push(tile("Cost of the prompt", dollars(data.cost.after), `${dollars(data.cost.before)} as pasted (estimate)`));
  } else {
    tiles.push(tile("Cost of the prompt", "–", `no price known for ${data.model || "a model without a name"}`));
  }
  const late = data.took_s > data.deadline_s;
  tiles.push(tile("Time", time(data.took_s * 1000), `${late ? "over" : "of"} the policy's ${data.deadline_s} s`));
  return tiles;
}

function said(data) {
  const lines = [...data.notes];
  if (data.mode !== "enforce") {
    lines.push(`The policy is in mode ${data.mode}: requests go out as they come. Shown is what it would do.`);
  }
  if (data.took_s > data.deadline_s) {
    lines.push("The proxy would have sent the original: this took longer than the policy's deadline.");
  }
  if (data.bypass.length) {
    lines.push(`Something stayed as it was: ${data.bypass.join(", ")} (docs/reasons.md).`);
  }
  if (!data.parts.length) {
    lines.push("The proxy does not look into this body; it would pass it on untouched.");
  }
  return lines;
}

function piece([what, text]) {
  const element = { dropped: "del", new: "ins", protected: "mark" }[what] ?? "span";
  return make(element, { class: `piece ${what}` }, text);
}

function part(told, number) {
  const id = `part-${number}`;
  const changed = told.tokens_before !== told.tokens_after;
  const count = changed ? `${whole(told.tokens_before)} → ${whole(told.tokens_after)} tokens` : `${whole(told.tokens_before)} tokens`;
  const how = [told.role, told.text_kind, told.language, told.method === "keep" ? "" : told.method, told.target];
  const why = told.reason ? `${told.why}; stayed as it was: ${told.reason}` : told.why;
  return make("article", { class: "panel part", "aria-labelledby": id },
    make("header", {},
      make("h2", { id, class: `kind ${told.kind}` }, told.kind.replace("_", " ")),
      make("span", { class: "quiet small" }, how.filter(Boolean).join(" · ")),
      make("span", { class: "count small" }, count),
      make("p", { class: "quiet small" }, why)),
    make("div", { class: "text", tabindex: "0", role: "group", "aria-label": `Text of ${told.place}` },
      ...told.pieces.map(piece)));
}

function show(data) {
  hasResult = true;
  at("empty").hidden = true;
  at("figures").replaceChildren(...figures(data));
  at("figures").hidden = false;
  const lines = said(data);
  at("said").replaceChildren(make("ul", {}, ...lines.map((line) => make("li", {}, line))));
  at("said").hidden = !lines.length;
  at("parts").replaceChildren(...data.parts.map(part));
  at("legend").hidden = !data.parts.length;
}

function rateChanged() {
  at("rate-shown").textContent = `${at("rate").value} %`;
  document.querySelector(".rate").classList.toggle("idle", at("by-policy").checked);
}

async function start() {
  themeSwitch(at("theme"));
  rateChanged();
  at("asked").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt();
  });
  at("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      attempt();
    }
  });
  at("example").addEventListener("click", () => {
    at("prompt").value = EXAMPLE;
    attempt();
  });
  at("rate").addEventListener("input", () => {
    at("by-policy").checked = false;
    rateChanged();
    soon();
  });
  at("by-policy").addEventListener("change", () => {
    rateChanged();
    soon();
  });
  for (const id of ["team", "method", "model"]) {
    at(id).addEventListener("change", soon);
  }
  try {
    const { data } = await ask(API);
    for (const { team, policy, mode } of data.teams) {
      const beside = mode === "enforce" ? policy : `${policy}, ${mode}`;
      at("team").append(make("option", { value: team }, `${team} (${beside})`));
    }
    at("method").append(...data.methods.map((name) => make("option", { value: name }, name)));
    at("model").value = data.model;
    const { data: about } = await ask("/elision/api/about");
    at("leave").hidden = !about.has_token;
  } catch (error) {
    const none = error instanceof Refused && error.code === "unknown_path";
    trouble(none
      ? "This proxy has no policies, so it shortens nothing. Start it with: elision serve --policies DIR"
      : error instanceof Refused ? error.message : "The proxy does not answer. Is it running?");
    document.querySelector("#asked .main").disabled = none;
  }
}

start();
