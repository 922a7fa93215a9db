// Comfort only: every page reads and acts without it.
"use strict";

// "/" goes to the search, unless somebody is typing.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  const find = document.getElementById("find");
  if (event.key !== "/" || typing || !find || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  find.focus();
  find.select();
});

// A second click must not send an act twice. The button comes back when the page does.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || "again" in event.target.dataset) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// A time also says itself in the reader's zone.
for (const time of document.querySelectorAll("time")) {
  time.title = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

// A replay's progress, as it goes. When it has moved on the page is another one: it is loaded, unless somebody types.
const job = document.querySelector("[data-watch]");
if (job) {
  const source = new EventSource(job.dataset.watch);
  source.addEventListener("message", (event) => {
    const now = JSON.parse(event.data);
    const bar = job.querySelector("progress");
    bar.max = Math.max(now.total, 1);
    bar.value = now.done;
    for (const [name, text] of Object.entries(now.texts)) {
      for (const place of document.querySelectorAll(`[data-show="${CSS.escape(name)}"]`)) {
        if (place.textContent !== text) place.textContent = text;
      }
    }
    if (now.is_over) source.close();
    if (now.state === job.dataset.state) return;
    const typed = [...document.querySelectorAll("main textarea, main input[type=text]")];
    if (typed.some((field) => field.value !== field.defaultValue)) job.querySelector("[data-changed]").hidden = false;
    else location.reload();
  });
}
