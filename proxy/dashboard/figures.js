// Figures from what the API tells: no elements, no requests. Sums add up; shares, quantiles and series are found here.

const STEP_S = { minute: 60, hour: 3600, day: 86400 };
const MOST_SERIES = 6;

// Adds up sums of rows: numbers, lists of buckets, words.
export function added(rows) {
  const all = {};
  for (const { sums } of rows) {
    for (const [name, value] of Object.entries(sums)) {
      if (Array.isArray(value)) {
        all[name] = value.map((count, index) => count + (all[name]?.[index] ?? 0));
      } else if (typeof value === "object") {
        all[name] ??= {};
        for (const [word, count] of Object.entries(value)) {
          all[name][word] = (all[name][word] ?? 0) + count;
        }
      } else {
        all[name] = (all[name] ?? 0) + value;
      }
    }
  }
  return all;
}

// Rows of the same first label as one row each.
export function grouped(rows) {
  const groups = new Map();
  for (const row of rows) {
    groups.set(row.labels[0], [...(groups.get(row.labels[0]) ?? []), row]);
  }
  return [...groups].map(([label, found]) => ({ labels: [label], sums: added(found) }));
}

// Words of one group, `bypass:deadline` -> ["deadline", 12], the most frequent first.
export function words(sums, group) {
  return Object.entries(sums.words ?? {})
    .filter(([word]) => word.startsWith(`${group}:`))
    .map(([word, count]) => [word.slice(group.length + 1), count])
    .sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
}

// The upper end of the bucket in which a part of all lies; Infinity beyond the last one; null of nothing.
export function quantile(buckets, bounds, part) {
  const all = buckets.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (let index = 0; all && index < buckets.length; index += 1) {
    seen += buckets[index];
    if (seen >= part * all) {
      return bounds[index] ?? Infinity;
    }
  }
  return null;
}

// Rows of several times and groups as lines over all times, the largest groups apart and others together.
// Returns {times, names, lines: {measure: [[...], ...]}}; a time without requests is 0.
export function series(rows, { since, until, step }, measures) {
  const every = STEP_S[step];
  const first = since - (since % every);
  const times = [];
  for (let at = first; at < until; at += every) {
    times.push(at);
  }
  const sizes = new Map();
  for (const { labels, sums } of rows) {
    sizes.set(labels[0], (sizes.get(labels[0]) ?? 0) + Math.abs(sums[measures[0]]) + sums.requests / 1e6);
  }
  const byThemselves = [...sizes.keys()].sort((one, other) => sizes.get(other) - sizes.get(one));
  const names = byThemselves.slice(0, byThemselves.length > MOST_SERIES ? MOST_SERIES - 1 : MOST_SERIES);
  const isRest = names.length < byThemselves.length;
  const lines = {};
  for (const measure of measures) {
    lines[measure] = Array.from({ length: names.length + isRest }, () => times.map(() => 0));
  }
  for (const { at, labels, sums } of rows) {
    const place = Math.floor((at - first) / every);
    const found = names.indexOf(labels[0]);
    if (place >= 0 && place < times.length) {
      for (const measure of measures) {
        lines[measure][found < 0 ? names.length : found][place] += sums[measure];
      }
    }
  }
  return { times, names: isRest ? [...names, "all others"] : names, lines };
}

// The sum of several lines.
export function together(lines) {
  return lines.length ? lines[0].map((_, place) => lines.reduce((sum, line) => sum + line[place], 0)) : [];
}

// A table {columns: [{name, title}], rows: [[...]]} as CSV (RFC 4180). What a spreadsheet would compute
// gets an apostrophe in front: names of models are the clients' words.
export function csv({ columns, rows }) {
  const cell = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.map(({ name }) => name), ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

// The same table as JSON: a list of objects.
export function json({ columns, rows }) {
  const told = rows.map((row) => Object.fromEntries(row.map((value, index) => [columns[index].name, value])));
  return JSON.stringify(told, null, 1);
}
