// What the pages share: asking the proxy, the theme's switch, making elements, figures as people read them.

export class Refused extends Error {
  // An answer that is an error: its status, its code, and what it says to a person.
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// Asks the proxy; returns and throws what `read` does.
export async function ask(path, { method = "GET", body, signal } = {}) {
  const options = { method, signal, cache: "no-cache", credentials: "same-origin" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  return read(fetch(path, options));
}

// Reads an answer that is on its way, and returns {data, tag}: `tag` stays the same while `data` does.
// Who is no longer signed in is led to the form. Throws Refused; TypeError where nobody answers.
export async function read(coming) {
  const answer = await coming;
  if (answer.status === 401) {
    location.assign(`/elision/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  const data = await answer.json();
  if (!answer.ok) {
    throw new Refused(answer.status, data.error?.code ?? "", data.error?.message ?? answer.statusText);
  }
  return { data, tag: answer.headers.get("ETag") ?? "" };
}

// Makes an element: attributes by name, `on...` listeners, children that are elements or texts.
// Nothing is ever read as HTML, since names of models are the clients' words.
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), value);
    } else if (value === true) {
      element.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Has a button change the theme: system, light, dark, in turn. `changed` is called after each change.
export function themeSwitch(button, changed = () => {}) {
  const names = { auto: "System", light: "Light", dark: "Dark" };
  const show = () => {
    const now = document.documentElement.dataset.theme;
    button.textContent = names[now] ?? names.auto;
    button.setAttribute("aria-label", `Theme: ${button.textContent}. Change it.`);
  };
  button.addEventListener("click", () => {
    const order = Object.keys(names);
    const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
    document.documentElement.dataset.theme = next;
    localStorage.setItem("elision-theme", next);
    show();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  show();
}

// The colours that custom properties of the style have now, as a canvas takes them.
export function colours(properties) {
  const probes = properties.map((property) => {
    const probe = make("span");
    probe.style.color = `var(${property})`;
    return probe;
  });
  const holder = make("div", { hidden: true }, ...probes);
  document.body.append(holder);
  const found = probes.map((probe) => getComputedStyle(probe).color);
  holder.remove();
  return Object.fromEntries(found.map((value, index) => [properties[index], value]));
}

const MINUS = "\u2212";

function signed(value, text) {
  return value < 0 ? MINUS + text : text;
}

// Figures and times are written without `Intl`, whose first use costs a browser some 50 ms.
function fixed(size, digits) {
  const [units, parts] = size.toFixed(digits).split(".");
  const told = units.replace(/\B(?=(\d{3})+$)/g, ",");
  return parts ? `${told}.${parts}` : told;
}

// A time of the day as the reader's clock shows it: "14:03:59".
export function clock(when) {
  return [when.getHours(), when.getMinutes(), when.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

// 1234567 -> "1,234,567"
export function whole(value) {
  return signed(value, fixed(Math.abs(value), 0));
}

// 1234567 -> "1.23 M"; what is below ten thousand stays whole.
export function short(value) {
  const size = Math.abs(value);
  for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit && size >= 1e4) {
      return signed(value, `${(size / unit).toPrecision(3)} ${name}`);
    }
  }
  return whole(value);
}

// Nano-dollars -> "$1,234.56", "$0.0123", "$0.0000042": cents, or two digits that count.
export function dollars(nano) {
  const size = Math.abs(nano) / 1e9;
  const digits = size === 0 || size >= 1 ? 2 : Math.min(9, Math.max(2, 1 - Math.floor(Math.log10(size))));
  return signed(nano, `$${fixed(size, digits)}`);
}

// Part of a whole -> "12.3 %"; nothing of nothing is a dash.
export function share(part, all) {
  return all ? `${signed(part / all, Math.abs((100 * part) / all).toFixed(1))} %` : "\u2013";
}

// Milliseconds -> "0.42 ms", "12 ms", "3.4 s".
export function time(ms) {
  if (ms >= 1000) {
    return `${(ms / 1000).toPrecision(ms >= 100000 ? 4 : 2)} s`;
  }
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(2)} ms`;
}
