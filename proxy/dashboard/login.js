// Who followed a link from elsewhere is signed in already, but the browser kept the cookie back: look again.
const answer = await fetch("/elision/api/about", { credentials: "same-origin" });
if (answer.ok) {
  const next = new URLSearchParams(location.search).get("next") ?? "";
  const wanted = new URL(URL.canParse(next, location.origin) ? next : "/elision/", location.origin);
  const isOwn = wanted.origin === location.origin && ["/elision/", "/elision/playground"].includes(wanted.pathname);
  location.replace(isOwn ? wanted : "/elision/");
}
