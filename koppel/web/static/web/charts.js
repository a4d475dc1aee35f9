// Draws the table of each figure.chart with Chart.js: what is drawn is what the table says, and a
// value is told in the table's own words. Colours are the style sheet's, the axes follow the language.
(function () {
  "use strict";
  var language = document.documentElement.lang || "en";
  var still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  function all(part, what) { return Array.prototype.slice.call(part.querySelectorAll(what)); }

  function read(figure) {
    var rows = all(figure, "tbody tr");
    return {
      series: all(figure, "thead th").slice(1).map(function (one) { return one.textContent; }),
      names: rows.map(function (row) { return row.querySelector("th").textContent; }),
      days: rows.map(function (row) { return row.querySelector("time"); }),
      values: rows.map(function (row) { return all(row, "data").map(function (one) { return Number(one.value); }); }),
      texts: rows.map(function (row) { return all(row, "data").map(function (one) { return one.textContent; }); })
    };
  }

  // Months as "Nov" over their year where a year begins, days as "25.11."; other places as they are named.
  function label(told, place) {
    var time = told.days[place];
    if (!time) return told.names[place];
    var parts = time.dateTime.split("-").map(Number);
    var day = new Date(Date.UTC(parts[0], parts[1] - 1, parts[2] || 1));
    function say(wanted) {
      wanted.timeZone = "UTC";
      return new Intl.DateTimeFormat(language, wanted).format(day);
    }
    if (parts.length === 3) return say({ day: "numeric", month: "numeric" });
    return place === 0 || parts[1] === 1 ? [say({ month: "short" }), String(parts[0])] : say({ month: "short" });
  }

  function axis(figure) {
    var wanted = { notation: "compact", maximumFractionDigits: 1 };
    if (figure.dataset.currency) {
      wanted.style = "currency";
      wanted.currency = figure.dataset.currency;
    }
    return new Intl.NumberFormat(language, wanted);
  }

  function options(figure, told, colour) {
    var numbers = axis(figure), stacked = figure.classList.contains("sides");
    var text = { color: colour("--chart-text") };
    return {
      locale: language,
      maintainAspectRatio: false,
      animation: still ? false : { duration: 250 },
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: stacked, grid: { display: false }, border: { color: colour("--chart-zero") },
             ticks: { color: text.color, maxRotation: 0, autoSkipPadding: 8,
                      callback: function (value) { return label(told, value); } } },
        y: { stacked: stacked, beginAtZero: true, border: { display: false },
             grid: { color: function (at) { return colour(at.tick && at.tick.value === 0 ? "--chart-zero" : "--chart-line"); } },
             ticks: { color: text.color, maxTicksLimit: 6, precision: figure.dataset.currency ? undefined : 0,
                      callback: function (value) { return numbers.format(value); } } }
      },
      plugins: {
        legend: { display: told.series.length > 1, align: "end",
                  labels: { color: text.color, boxWidth: 12, boxHeight: 12 } },
        tooltip: { callbacks: {
          title: function (items) { return items.length ? told.names[items[0].dataIndex] : ""; },
          label: function (item) {
            return told.series[item.datasetIndex] + ": " + told.texts[item.dataIndex][item.datasetIndex];
          }
        } }
      }
    };
  }

  function draw(figure) {
    var canvas = figure.querySelector("canvas");
    if (window.Chart.getChart(canvas)) return;
    var style = window.getComputedStyle(figure), told = read(figure);
    function colour(name) { return style.getPropertyValue(name).trim(); }
    window.Chart.defaults.font.family = style.fontFamily;
    var last = told.series.length - 1;
    var chart = new window.Chart(canvas, {
      type: "bar",
      data: {
        labels: told.names,
        datasets: told.series.map(function (name, place) {
          return {
            label: name,
            data: told.values.map(function (row) { return row[place]; }),
            backgroundColor: colour(place === last ? "--chart-last" : "--chart-first"),
            hoverBackgroundColor: colour("--chart-mark")
          };
        })
      },
      options: options(figure, told, colour)
    });
    readByKeys(figure, canvas, chart, told);
  }

  function readByKeys(figure, canvas, chart, told) {
    var place = -1, spoken = figure.querySelector("[aria-live]");
    function show(wanted) {
      place = wanted;
      var bars = place < 0 ? [] : told.series.map(function (name, series) {
        return { datasetIndex: series, index: place };
      });
      chart.setActiveElements(bars);
      chart.tooltip.setActiveElements(bars, { x: 0, y: 0 });
      chart.update();
      spoken.textContent = place < 0 ? "" : told.names[place] + ". " + told.series.map(function (name, series) {
        return name + ": " + told.texts[place][series];
      }).join("; ");
    }
    canvas.addEventListener("keydown", function (event) {
      var end = told.names.length - 1;
      var wanted = {
        ArrowRight: Math.min(place + 1, end), ArrowLeft: Math.max(place - 1, 0), Home: 0, End: end, Escape: -1
      }[event.key];
      if (wanted === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      show(wanted);
    });
    canvas.addEventListener("blur", function () { if (place >= 0) show(-1); });
  }

  function drawAll() { all(document, "figure.chart").forEach(draw); }

  // A deferred script runs when the page is read; what htmx brings later comes by its events.
  drawAll();
  document.addEventListener("htmx:afterSettle", drawAll);
  document.addEventListener("htmx:beforeCleanupElement", function (event) {
    var chart = event.target instanceof HTMLCanvasElement && window.Chart.getChart(event.target);
    if (chart) chart.destroy();
  });
  window.addEventListener("beforeprint", function () {
    Object.values(window.Chart.instances).forEach(function (chart) { chart.resize(); });
  });
})();
