// The table of pairs: failures first; sorted by any column, numbers as numbers; filtered by words and outcomes.
const MOST_ROWS = 1000;
const badness = (entry) => (entry.kind === "connectivity" ? 2e12 : entry.loss ? 1e12 + entry.loss * 1e6 : 0) + (entry.max ?? 0);

const COLUMNS = [
  { name: "Outcome", key: "outcome", value: (entry) => outcomeOf(entry).rank, text: outcomeCell, then: badness },
  { name: "Network", key: "network", value: networkOf },
  { name: "Pair", key: "pair", value: (entry) => entry.pair, text: pairCell },
  { name: "Test", key: "test", value: (entry) => entry.test },
  { name: "Attempt", key: "attempt", value: (entry) => entry.attempt, number: true, text: (entry) => String(entry.attempt) },
  { name: "Loss %", key: "loss", value: (entry) => entry.loss, number: true, text: (entry) => percent(entry.loss) },
  ...["min", "avg", "p50", "p90", "p99", "max"].map((key) => ({ name: `${key} ms`, key, value: (entry) => entry[key], number: true, text: (entry) => milliseconds(entry[key]) })),
  { name: "Gap ms", key: "gap", value: (entry) => entry.gap?.[0], number: true, text: (entry) => gapMilliseconds(entry.gap?.[0]) },
  { name: "Δ p50 %", key: "delta", value: (entry) => entry.comparison?.p50?.deltaPercent, number: true, text: deltaText },
  { name: "Pings", key: "pings", text: sparkline },
  { name: "Cause", key: "cause", value: (entry) => entry.what ?? entry.reason, text: causeCell },
];
const collator = new Intl.Collator("en", { numeric: true });
const table = { rows: new Map(), sortedBy: null, isDown: false, words: [], outcome: "all", only: null, isWhole: false };

function deltaText(entry) {
  const delta = entry.comparison?.p50?.deltaPercent;
  return isKnown(delta) ? `${signed(delta)}${entry.comparison.regressed ? " ▲" : ""}` : "";
}

function outcomeCell(entry) {
  const { word, look } = outcomeOf(entry);
  return element("span", { class: `state ${look}` }, word);
}

function pairCell(entry) {
  return element("a", { href: `#${entry.id}` }, entry.pair);
}

function causeCell(entry) {
  return element("span", { class: "cause", title: entry.reason }, entry.what ?? entry.reason ?? "");
}

// Columns that no row fills stay away.
function shownColumns() {
  const isFilled = { test: (entry) => entry.test, attempt: () => data.entries.length > lastAttempts.size, pings: (entry) => entry.samples || entry.lost?.length };
  return COLUMNS.filter((column) => data.entries.some(isFilled[column.key] ?? ((entry) => isKnown(column.value(entry)))));
}

function startTable() {
  table.columns = shownColumns();
  const head = element("tr");
  for (const column of table.columns) {
    const inside = column.value ? element("button", { type: "button" }, column.name) : column.name;
    const cell = element("th", { scope: "col", class: column.number ? "number" : null, "data-key": column.key }, inside);
    if (column.value) inside.addEventListener("click", () => sortBy(column));
    head.append(cell);
    column.head = cell;
  }
  document.querySelector("#table thead").append(head);
  table.order = [...data.entries];
  startFilters();
  sortBy(table.columns[0]);
}

function rowOf(entry) {
  let row = table.rows.get(entry);
  if (!row) {
    row = element("tr", { class: `${outcomeOf(entry).look}${isLast(entry) ? "" : " earlier"}`, "data-id": entry.id });
    for (const column of table.columns) {
      const content = (column.text ?? column.value)(entry) ?? "";
      const look = `${column.number ? "number" : `of-${column.key}`}${marked(column, entry) ? " broken" : ""}`;
      row.append(element("td", { class: look }, content));
    }
    table.rows.set(entry, row);
  }
  return row;
}

// Which of the numbers broke a limit.
function marked(column, entry) {
  const limits = limitsOf(entry);
  const bounds = { max: limits.maxLatencyNanoSec, avg: limits.maxAvgLatencyNanoSec, p99: limits.maxP99LatencyNanoSec, loss: limits.maxLossPercent, gap: limits.maxGapNanoSec };
  return isBroken(entry, column.key, column.value?.(entry), bounds[column.key]);
}

// A second time turns the order round. What has no value is always last.
function sortBy(column) {
  table.isDown = table.sortedBy === column ? !table.isDown : Boolean(column.number);
  table.sortedBy = column;
  for (const { head } of table.columns) head.removeAttribute("aria-sort");
  column.head.setAttribute("aria-sort", table.isDown ? "descending" : "ascending");
  const keyed = data.entries.map((entry) => [column.value(entry), entry]);
  const sign = table.isDown ? -1 : 1;
  keyed.sort(([one, a], [other, b]) => compared(one, other, sign) || (column.then ? column.then(b) - column.then(a) : 0) || a.index - b.index);
  table.order = keyed.map(([, entry]) => entry);
  showRows();
}

function compared(one, other, sign) {
  const isOne = isKnown(one) && one !== "";
  const isOther = isKnown(other) && other !== "";
  if (!isOne || !isOther) return isOther - isOne;
  return sign * (typeof one === "number" ? one - other : collator.compare(one, other));
}

function isShown(entry) {
  if (table.only && !table.only.has(entry.index)) return false;
  if (table.outcome !== "all" && entry.outcome !== table.outcome) return false;
  if (!table.words.length) return true;
  entry.haystack ??= [entry.outcome, outcomeOf(entry).word, networkOf(entry), entry.pair, entry.test, entry.kind, entry.reason].join(" ").toLowerCase();
  return table.words.every((word) => entry.haystack.includes(word));
}

function showRows() {
  const matching = table.order.filter(isShown);
  const rows = table.isWhole ? matching : matching.slice(0, MOST_ROWS);
  document.querySelector("#table tbody").replaceChildren(...rows.map(rowOf));
  const all = data.entries.length;
  const noun = data.entries.some((entry) => entry.test) ? "test" : "pair";
  const status = document.getElementById("shown");
  status.textContent = matching.length === all ? plural(all, noun) : `${matching.length} of ${plural(all, noun)}`;
  if (table.only) status.append(" of one cause ", clearButton());
  const more = document.getElementById("more");
  more.hidden = rows.length === matching.length;
  more.textContent = `Show all ${matching.length}`;
}

function clearButton() {
  const button = element("button", { type: "button", class: "plain-button" }, "show all");
  button.addEventListener("click", () => showOnly(null));
  return button;
}

function showOnly(indexes) {
  table.only = indexes && new Set(indexes);
  showRows();
}

function startFilters() {
  const counts = Map.groupBy ? Map.groupBy(data.entries, (entry) => entry.outcome) : new Map();
  const names = [...new Set(data.entries.map((entry) => entry.outcome))].sort((one, other) => OUTCOMES[one].rank - OUTCOMES[other].rank);
  const place = document.getElementById("outcomes");
  for (const name of names.length > 1 ? ["all", ...names] : []) {
    const count = name === "all" ? data.entries.length : counts.get(name)?.length ?? "";
    const chip = element("button", { type: "button", "aria-pressed": String(name === "all"), "data-outcome": name }, name === "all" ? "all" : OUTCOMES[name].word, " ", element("b", {}, String(count)));
    chip.addEventListener("click", () => {
      table.outcome = name;
      for (const other of place.children) other.setAttribute("aria-pressed", String(other === chip));
      showRows();
    });
    place.append(chip);
  }
  document.getElementById("filter").addEventListener("input", (event) => {
    table.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    showRows();
  });
  document.getElementById("more").addEventListener("click", () => {
    table.isWhole = true;
    showRows();
  });
  for (const place of document.querySelectorAll("[data-cause]")) {
    const link = element("a", { href: "#pairs" }, ...place.childNodes);
    link.addEventListener("click", () => showOnly(data.causes[place.dataset.cause]));
    place.append(link);
  }
}
