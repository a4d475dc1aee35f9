// What pages need besides htmx: menus that close, boxes ticked together, keys in lists.
(function () {
  "use strict";

  document.addEventListener("click", function (event) {
    document.querySelectorAll("details.menu[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) menu.open = false;
    });
    var all = event.target.closest("[data-tick-all]");
    if (all) {
      document.querySelectorAll("input[name=" + all.dataset.tickAll + "]").forEach(function (box) {
        box.checked = all.checked;
      });
    }
  });

  // A form whose choice counts at once, such as a filter.
  document.addEventListener("change", function (event) {
    if (event.target.closest("[data-submit-on-change]")) event.target.form.requestSubmit();
  });

  // data-key="s" on a button or link: the key presses it, inside the chosen card where there are cards.
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open]").forEach(function (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      });
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    var cards = Array.prototype.slice.call(document.querySelectorAll("[data-card]"));
    var here = event.target.closest("[data-card]") || cards[0];
    if (event.key === "j" || event.key === "k") {
      var place = cards.indexOf(event.target.closest("[data-card]"));
      var next = cards[place < 0 ? 0 : place + (event.key === "j" ? 1 : -1)];
      if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); event.preventDefault(); }
      return;
    }
    if (event.key.length !== 1 || !/[a-z0-9\/]/.test(event.key)) return;
    var target = (here || document).querySelector('[data-key="' + event.key + '"]') ||
      document.querySelector('[data-key="' + event.key + '"]:not([data-card] *)');
    if (!target) return;
    event.preventDefault();
    if (target.matches("input")) target.focus(); else target.click();
  });
})();
