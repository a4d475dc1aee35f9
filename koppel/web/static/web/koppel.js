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

  // data-events="/…": what goes on is told by the server as it happens. Where it cannot, or has no
  // place left, the page looks again by itself.
  function follow(part) {
    if (part.follows) return;
    part.follows = true;
    function look(after) {
      window.setTimeout(function () {
        if (!document.contains(part)) return;
        if (part.hasAttribute("data-reload")) window.location.reload();
        else window.htmx.trigger(part, "look");
      }, after);
    }
    if (!window.EventSource) return look(700);
    var source = new EventSource(part.dataset.events);
    function tell(event) {
      if (!document.contains(part)) return source.close();
      part.querySelector("[data-told]").textContent = JSON.parse(event.data).text;
    }
    part.addEventListener("htmx:beforeCleanupElement", function () { source.close(); });
    source.addEventListener("progress", tell);
    source.addEventListener("done", function (event) { tell(event); source.close(); look(0); });
    source.addEventListener("error", function () {
      if (source.readyState === EventSource.CLOSED) look(part.hasAttribute("data-reload") ? 5000 : 700);
    });
    window.addEventListener("pagehide", function () { source.close(); });
  }
  function followAll() { document.querySelectorAll("[data-events]").forEach(follow); }
  document.addEventListener("htmx:afterSettle", followAll);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", followAll);
  else followAll();

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
