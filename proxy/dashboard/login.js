// Who followed a link from elsewhere is signed in already, but the browser kept the cookie back: look again.
const answer = await fetch("/elision/api/about", { credentials: "same-origin" });
if (answer.ok) {
  location.replace("/elision/");
}
