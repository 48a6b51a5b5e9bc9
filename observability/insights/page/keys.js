// What the page does by itself: keys for its views; the theme and the time range, which cookies remember.
function remember(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=31536000; SameSite=Strict`;
}
function switchTheme() {
  setDark(!Quasar.Dark.isActive);
  remember("theme", Quasar.Dark.isActive ? "dark" : "light");
  emitEvent("theme", Quasar.Dark.isActive);
}
// Not by NiceGUI's own element: each time a view is filled anew, that sets what the server said at first.
const theme = /(?:^|; )theme=(dark|light)/.exec(document.cookie);
if (theme) document.addEventListener("DOMContentLoaded", () => setDark(theme[1] === "dark"));
const minutes = new URLSearchParams(location.search).get("minutes");
if (/^\d+$/.test(minutes)) remember("minutes", minutes);
// These do not go by way of the server, which a page that was just opened is not connected to yet.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches(".search input")) {
    const text = event.target.value.trim();
    if (text) location.href = `/search?text=${encodeURIComponent(text)}`;
  }
  const typing = event.target.closest("input, textarea, select, [contenteditable=true], [role=listbox]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const view = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  if (view) view.click();
  else if (event.key === "t") switchTheme();
  else if (event.key === "/") document.querySelector(".search input").focus();
  else return;
  event.preventDefault();
});
