// What the dashboard asks, by what is chosen; and its first questions, asked while the page is still on its way.
// It is no module, since browsers run those last: the proxy answers while styles and charts come.

globalThis.dashboard = (() => {
  const API = "/elision/api/";
  const LABELS = ["team", "policy", "method", "model"];
  const SERIES_FIELDS = "requests,tokens_saved,tokens_saved_billed,saved,saved_billed";
  const RECENT = 25;
  const STANDARD = { range: "86400", by: "team" };
  const ONCE = { about: "about" };
  const SELDOM = { values: "values", policies: "policies", spending: "spending" };
  const early = new Map();

  // What is chosen, of FormData or of the page's address: seconds, a label, values of labels.
  function choiceOf(chosen) {
    const only = Object.fromEntries(LABELS.map((label) => [label, chosen.get(label)]).filter(([, value]) => value));
    return { last: chosen.get("range") ?? STANDARD.range, by: chosen.get("by") ?? STANDARD.by, only };
  }

  // The address's query that says what is chosen; "" for what is shown to newcomers.
  function addressOf(chosen) {
    return new URLSearchParams([...chosen].filter(([name, value]) => value && value !== STANDARD[name])).toString();
  }

  // What is asked again and again. When now is, the proxy knows: a browser's clock may be wrong.
  function questions({ last, by, only }, order = "newest") {
    const sums = (more) => `sums?${new URLSearchParams({ last, ...more, ...only })}`;
    return {
      groups: sums({ step: "all", by: by === "method" ? by : `${by},method` }),
      series: sums({ by, fields: SERIES_FIELDS }),
      recent: `recent?${new URLSearchParams({ order, count: RECENT, ...only })}`,
    };
  }

  // Sends a question, unless that was done early; returns the Response.
  function answerTo(question, signal) {
    const answer = early.get(question);
    early.delete(question);
    return answer ?? fetch(API + question, { signal, cache: "no-cache", credentials: "same-origin" });
  }

  const first = questions(choiceOf(new URLSearchParams(location.search)));
  for (const question of Object.values({ ...ONCE, ...first, ...SELDOM })) {
    const answer = answerTo(question);
    answer.catch(() => {}); // whoever waits for it is told
    early.set(question, answer);
  }
  return { LABELS, ONCE, SELDOM, addressOf, answerTo, choiceOf, questions };
})();
