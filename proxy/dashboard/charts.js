// What figures look like: lines over time (uPlot), bars, tables, and their export.

import { csv, json } from "/elision/static/figures.js";
import { clock, colours, make } from "/elision/static/shared.js";

const COLOURS = ["--one", "--two", "--three", "--four", "--five", "--six"];
const PAINTS = [...COLOURS, "--rest", "--line", "--quiet"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// A panel's frame: a title, tools beside it, and slots whose content changes while the frame stays.
export class Panel {
  constructor(id, title, note = "") {
    this.element = document.getElementById(id);
    this.tools = make("div", { class: "push" });
    this.note = make("p", { class: "quiet small" }, note);
    this.body = make("div", { class: "body" });
    this.heading = make("h2", { id: `${id}-title` });
    this.savers = [];
    this.title = title;
    this.element.replaceChildren(make("header", {}, this.heading, this.tools, this.note), this.body);
  }

  // What the panel is called, by its heading and by the buttons that save it.
  set title(title) {
    if (this.heading.textContent !== title) {
      this.heading.textContent = title;
      this.savers.forEach(([kind, button]) => button.setAttribute("aria-label", `Save “${title}” as ${kind}`));
    }
  }

  get title() {
    return this.heading.textContent;
  }

  // Shows other content.
  put(...content) {
    swap(this.body, ...content);
  }

  // Adds buttons that save the table that `told` returns as a file.
  exports(name, told) {
    for (const [kind, write, type] of [["CSV", csv, "text/csv"], ["JSON", json, "application/json"]]) {
      const label = `Save “${this.title}” as ${kind}`;
      const click = () => save(`elision-${name}.${kind.toLowerCase()}`, write(told()), type);
      const button = make("button", { class: "plain", type: "button", "aria-label": label, onclick: click }, kind);
      this.savers.push([kind, button]);
      this.tools.append(button);
    }
    return this;
  }
}

// Shows other content; a reader who has scrolled or walked into a table stays there.
export function swap(parent, ...content) {
  const before = [...parent.querySelectorAll(".wide")];
  const places = before.map((wide) => [wide.scrollLeft, wide.scrollTop, wide === document.activeElement]);
  parent.replaceChildren(...content);
  [...parent.querySelectorAll(".wide")].forEach((wide, index) => {
    const [left, top, hasFocus] = places[index] ?? [0, 0, false];
    if (left || top) {
      wide.scrollTo(left, top);
    }
    if (hasFocus) {
      wide.focus({ preventScroll: true });
    }
  });
}

function save(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// A table from {caption, columns: [{title, show, number}], rows}. `show` makes a value a text or an element.
export function tableOf({ caption, columns, rows }) {
  const head = columns.map(({ title, number }) => make("th", { scope: "col", class: number ? "number" : null }, title));
  const cell = (value, index) => {
    const { show = String, number, text } = columns[index];
    const shown = value === null || value === undefined ? "\u2013" : show(value);
    const kinds = [number && "number", text && "text", number && value < 0 && "negative"].filter(Boolean).join(" ");
    return index === 0
      ? make("th", { scope: "row", class: kinds || null }, shown)
      : make("td", { class: kinds || null }, shown);
  };
  const body = rows.map((row) => make("tr", {}, ...row.map(cell)));
  return make(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": caption },
    make(
      "table",
      {},
      make("caption", { class: "unseen" }, caption),
      make("thead", {}, make("tr", {}, ...head)),
      make("tbody", {}, ...body),
    ),
  );
}

// Bars beside their figures, from [[name, value], ...]; a table to whoever does not see bars.
export function barsOf(caption, kind, entries, show) {
  const most = Math.max(1, ...entries.map(([, value]) => Math.abs(value)));
  const rows = entries.map(([name, value]) => {
    const bar = make("span", { class: value < 0 ? "length below" : "length" });
    bar.style.inlineSize = `${(100 * Math.abs(value)) / most}%`;
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      make("td", { class: "track" }, make("span", { class: "groove", "aria-hidden": "true" }, bar)),
      make("td", { class: "number" }, show(value)),
    );
  });
  const head = ["", "", "Count"].map((title, index) =>
    make(index === 1 ? "td" : "th", { scope: index === 1 ? null : "col" }, index ? title : kind),
  );
  return make(
    "table",
    { class: "bars" },
    make("caption", { class: "unseen" }, caption),
    make("thead", { class: "unseen" }, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

function paintOf(label, index) {
  return label === "all others" ? "--rest" : COLOURS[index % COLOURS.length];
}

// A place on the axis of time: days by their date, in UTC as they are counted; hours and minutes the reader's.
function moment(at, isDay) {
  const when = new Date(at * 1000);
  if (isDay) {
    return `${when.getUTCDate()} ${MONTHS[when.getUTCMonth()]}`;
  }
  const isMidnight = when.getHours() === 0 && when.getMinutes() === 0;
  return isMidnight ? `${when.getDate()} ${MONTHS[when.getMonth()]}` : clock(when).slice(0, 5);
}

// A line chart that keeps its place on the page while its figures change.
export class Lines {
  constructor(label, height = 240) {
    this.element = make("div", { class: "chart", role: "img", "aria-label": label });
    this.height = height;
    this.shape = "";
    this.chart = null;
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.element);
  }

  // Shows lines over times. `dashes` says which of them are estimates; `show` makes a value a text.
  draw({ times, names, lines, show, isDay, dashes = [] }) {
    const shape = JSON.stringify([names, isDay, dashes, String(show), getComputedStyle(document.body).color]);
    const told = [times, ...lines];
    if (this.chart && shape === this.shape) {
      this.chart.setData(told);
      return;
    }
    this.shape = shape;
    this.chart?.destroy();
    this.chart = new uPlot(this.#options({ names, show, isDay, dashes }), told, this.element);
  }

  // Forgets the colours, which have changed.
  repaint() {
    this.shape = "";
  }

  #fit() {
    const width = this.element.clientWidth;
    if (this.chart && width && width !== this.chart.width) {
      this.chart.setSize({ width, height: this.height });
    }
  }

  #options({ names, show, isDay, dashes }) {
    const paints = colours(PAINTS);
    const grid = { stroke: paints["--line"], width: 1 };
    const axis = { stroke: paints["--quiet"], grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      width: this.element.clientWidth || 600,
      height: this.height,
      // Days are UTC's, hours and minutes the reader's.
      tzDate: isDay ? (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC") : undefined,
      cursor: { points: { size: 7 }, drag: { x: false, y: false } },
      legend: { live: true },
      axes: [
        { ...axis, grid: { show: false }, size: 36, values: (_, times) => times.map((at) => moment(at, isDay)) },
        { ...axis, size: 68, values: (_, values) => values.map((value) => show(value).replace(/\.0+(?= )/, "")) },
      ],
      scales: { y: { range: (_, low, high) => [Math.min(0, low) * 1.06, Math.max(0, high) * 1.06 || 1] } },
      series: [
        { label: "Time", value: isDay ? "{YYYY}-{MM}-{DD}" : "{YYYY}-{MM}-{DD} {HH}:{mm}" },
        ...names.map((label, index) => this.#series({ label, paint: paints[paintOf(label, index)], isAlone: names.length === 1, show, dash: dashes[index] })),
      ],
    };
  }

  #series({ label, paint, isAlone, show, dash }) {
    return {
      label,
      stroke: paint,
      width: 2,
      dash: dash ? [6, 4] : undefined,
      fill: isAlone ? paint.replace(/^rgb\((.*)\)$/, "rgba($1, 0.14)") : undefined,
      value: (_, value) => (value === null || value === undefined ? "\u2013" : show(value)),
      points: { size: 5 },
    };
  }
}
