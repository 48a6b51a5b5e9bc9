// What the page does by itself: keys for its views, and the theme, which a cookie remembers.
function switchTheme() {
  Quasar.Dark.toggle();
  document.cookie = `theme=${Quasar.Dark.isActive ? "dark" : "light"}; path=/; max-age=31536000; SameSite=Strict`;
}
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable=true], [role=listbox]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const view = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  if (view) view.click();
  else if (event.key === "t") switchTheme();
  else if (event.key === "/") document.querySelector(".search input").focus();
  else return;
  event.preventDefault();
});
