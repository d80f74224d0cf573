// A page of the account that comes back out of the browser's memory may be of
// somebody who has logged out since: ask again.
addEventListener("pageshow", (e) => {
  if (e.persisted) location.reload();
});

// Times in the reader's own zone. Without this script they are in UTC.
for (const t of document.querySelectorAll("time[datetime]")) {
  const d = new Date(t.dateTime);
  if (!isNaN(d)) {
    t.title = t.textContent;
    t.textContent = d.toLocaleString(document.documentElement.lang,
      "day" in t.dataset ? { dateStyle: "long" } : { dateStyle: "medium", timeStyle: "short" });
  }
}
