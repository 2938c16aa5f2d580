// The dashboard: what is asked for, when it is asked again, and which panel shows it.

import { added, grouped, words } from "/elision/static/figures.js";
import { Policies, Recents, start } from "/elision/static/listings.js";
import {
  Bars, cacheBars, Groups, overheadBars, Quality, ratioBars, Saved, segmentBars, Spending, Tiles,
} from "/elision/static/panels.js";
import { clock, read, themeSwitch, whole } from "/elision/static/shared.js";

const { LABELS, ONCE, SELDOM, addressOf, answerTo, choiceOf, questions } = globalThis.dashboard; // early.js
const LIBRARY = "/elision/static/uPlot.iife.min.js";
const EVERY_MS = 2000;
const ROUNDS = 5; // of which one asks what changes seldom

const filters = document.getElementById("filters");
const element = (id) => document.getElementById(id);
let drawable;

class Dashboard {
  constructor() {
    this.tags = new Map();
    this.told = new Map();
    this.rounds = 0;
    this.isLive = true;
    this.timer = 0;
    this.tiles = new Tiles();
    this.saved = new Saved();
    this.groups = new Groups();
    this.ratios = new Bars("ratios", "What was left of shortened requests", "Tokens after / before", "Requests by tokens after / before.");
    this.overhead = new Bars("overhead", "Added time", "Time", "Requests by the time that Elision itself took before the answer began.");
    this.caches = new Bars("caches", "Caches", "Outcome");
    this.bypasses = new Bars("bypasses", "Left as it came, and why", "Reason", "Requests in which something planned was not done; docs/reasons.md explains each word.");
    this.segments = new Bars("segments", "Where the tokens are", "Tokens", "By kind of segment, of requests that a policy looked at.");
    this.quality = new Quality();
    this.spending = new Spending();
    this.recents = new Recents(() => this.now());
    this.policies = new Policies();
    this.about = null;
  }

  // Asks for everything again, at once.
  async now() {
    clearTimeout(this.timer);
    this.abort?.abort();
    const { signal } = (this.abort = new AbortController());
    try {
      await this.#round(signal);
      this.#calm();
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      this.#tell(error);
    }
    this.#again();
  }

  // Has the next round come, unless nobody looks.
  #again() {
    if (this.isLive && !document.hidden) {
      this.timer = setTimeout(() => this.now(), EVERY_MS);
    }
  }

  setLive(isLive) {
    this.isLive = isLive;
    element("live").setAttribute("aria-pressed", isLive);
    element("live").textContent = isLive ? "Live" : "Paused";
    if (isLive) {
      this.now();
    } else {
      clearTimeout(this.timer);
    }
  }

  async #round(signal) {
    const choice = choiceOf(new FormData(filters));
    const seldom = this.rounds % ROUNDS === 0;
    const wanted = questions(choice, this.recents.order);
    if (!seldom && this.#isSlow(wanted.series)) {
      delete wanted.series;
    }
    const changed = await this.#ask({ ...wanted, ...(this.about ? {} : ONCE) }, signal);
    this.about = this.told.get("about");
    const all = added(this.told.get("groups").rows);
    if (all.requests) {
      this.#show(changed, choice, all);
      await charts();
      this.#draw(changed, choice);
    }
    if (seldom) {
      this.#showRest(await this.#ask(SELDOM, signal));
    }
    if (!all.requests) {
      this.#frame(false);
    }
    this.#finish(all.requests ?? 0);
    this.rounds += 1;
  }

  // Whether lines that were shown already change too little to be asked for in each round.
  #isSlow(asked) {
    return this.tags.get("series")?.startsWith(`${asked} `) && this.told.get("series").step !== "minute";
  }

  // Asks several questions at once; returns the names of those whose answers are other ones than before.
  async #ask(wanted, signal) {
    const names = Object.keys(wanted);
    const answers = await Promise.all(names.map((name) => read(answerTo(wanted[name], signal))));
    return new Set(names.filter((name, index) => this.#keep(name, wanted[name], answers[index])));
  }

  // Remembers an answer; returns whether it is another one than before.
  #keep(name, asked, { data, tag }) {
    const known = `${asked} ${tag}`;
    const isNew = this.tags.get(name) !== known;
    this.tags.set(name, known);
    this.told.set(name, data);
    return isNew;
  }

  #show(changed, { by }, all) {
    this.#frame(true);
    if (changed.has("groups")) {
      this.#sums(this.told.get("groups").rows, all, by);
    }
    if (changed.has("recent")) {
      this.recents.show(this.told.get("recent").requests);
    }
    if (!this.rounds) {
      performance.mark("figures");
    }
  }

  #draw(changed, { by }) {
    if (changed.has("series")) {
      const { rows, ...span } = this.told.get("series");
      this.saved.show(rows, span, by);
    }
  }

  // Shows what changes seldom.
  #showRest(changed) {
    if (changed.has("values")) {
      offer(this.told.get("values").values);
    }
    if (changed.has("policies")) {
      this.policies.show(this.told.get("policies"));
    }
    if (changed.has("spending")) {
      this.spending.show(this.told.get("spending"));
    }
  }

  #finish(requests) {
    element("moment").textContent = `as of ${clock(new Date())}`;
    this.#announce(requests);
    if (!this.rounds) {
      document.body.dataset.ready = "true";
      performance.mark("all");
    }
  }

  #sums(rows, all, by) {
    this.tiles.show(all, this.about);
    this.groups.show(grouped(rows), by);
    this.quality.show(rows);
    this.ratios.show(ratioBars(all, this.about), "Nothing went out shorter.");
    this.overhead.show(overheadBars(all, this.about), "No requests.");
    this.caches.show(cacheBars(all), "No cache was asked.");
    this.bypasses.show([["", words(all, "bypass")]], "Everything planned was done.");
    this.segments.show(segmentBars(all), "No policy looked at a request.");
  }

  // Shows figures, or what to do where there are none.
  #frame(hasRequests) {
    const state = hasRequests ? "figures" : this.told.get("values").values.team.length ? "none" : "first";
    if (state !== this.state) {
      this.state = state;
      element("figures").hidden = !hasRequests;
      element("start").hidden = hasRequests;
      if (!hasRequests) {
        const { policies } = this.told.get("policies");
        start(element("start"), { isFirst: state === "first", hasPolicies: policies.length > 0 });
      }
    }
  }

  // Tells who listens rather than looks, but not every two seconds.
  #announce(requests) {
    const now = Date.now();
    if (requests !== this.announced && now - (this.announcedAt ?? 0) > 30000) {
      this.announced = requests;
      this.announcedAt = now;
      element("status").textContent = `${whole(requests)} requests in the time that is shown.`;
    }
  }

  #tell(error) {
    const told = error instanceof TypeError ? "The proxy does not answer." : error.message;
    const text = `${told} What is shown may be old; the page asks again by itself.`;
    if (element("trouble").textContent !== text) {
      element("trouble").textContent = text;
    }
    element("trouble").hidden = false;
  }

  #calm() {
    element("trouble").hidden = true;
    element("trouble").textContent = "";
  }
}

// Fills the filters with the values that there are; what is chosen stays.
function offer(values) {
  for (const label of LABELS) {
    const list = filters.elements[label];
    const value = list.value || asked().get(label) || "";
    const all = value && !values[label].includes(value) ? [...values[label], value] : values[label];
    list.replaceChildren(new Option("All", ""), ...all.filter(Boolean).map((name) => new Option(name, name)));
    list.value = value;
  }
  remember();
}

// Runs the chart library, which the page has fetched already; figures do not wait for it.
function charts() {
  drawable ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new TypeError("uPlot did not come")));
    script.src = LIBRARY;
    document.head.append(script);
  });
  return drawable;
}

function asked() {
  return new URLSearchParams(location.search);
}

// Keeps the choice in the address, so that a link shows the same.
function remember() {
  const query = addressOf(new FormData(filters));
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  element("all").hidden = !LABELS.some((label) => filters.elements[label].value);
}

// Chooses what the address says, before the first question.
function recall() {
  for (const name of ["range", "by"]) {
    const value = asked().get(name);
    if ([...filters.elements[name].options].some((option) => option.value === value)) {
      filters.elements[name].value = value;
    }
  }
  for (const label of LABELS) {
    const value = asked().get(label);
    filters.elements[label].replaceChildren(new Option("All", ""), ...(value ? [new Option(value, value)] : []));
    filters.elements[label].value = value ?? "";
  }
}

recall();
const dashboard = new Dashboard();
themeSwitch(element("theme"), () => dashboard.saved.repaint());
element("live").addEventListener("click", () => dashboard.setLive(!dashboard.isLive));
document.addEventListener("visibilitychange", () => dashboard.isLive && !document.hidden && dashboard.now());
const chosenAnew = () => {
  remember();
  dashboard.announcedAt = 0;
  dashboard.state = "";
  dashboard.now();
};
filters.addEventListener("change", chosenAnew);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", (event) => {
  event.preventDefault();
  LABELS.forEach((label) => (filters.elements[label].value = ""));
  chosenAnew();
});
await dashboard.now();
element("leave").hidden = !dashboard.about?.has_token;
