// The view of one pair: opened by its link (#pair-…), closed by Escape, the button or going back.
const view = document.getElementById("view");
let opener = null;
let shownId = "";

function startView() {
  window.addEventListener("hashchange", followHash);
  view.addEventListener("close", () => {
    // Another link may have been followed meanwhile.
    if (location.hash !== `#${shownId}`) return;
    history.replaceState(null, "", location.pathname + location.search);
    opener?.focus();
    opener = null;
  });
  view.addEventListener("click", (event) => {
    if (event.target === view) view.close();
  });
  view.addEventListener("keydown", (event) => {
    if (event.target.closest("pre, summary")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  followHash();
}

function followHash() {
  const entry = entryById.get(location.hash.slice(1));
  if (!entry) {
    if (view.open) view.close();
    return;
  }
  if (!view.open) opener = document.activeElement?.closest?.("a");
  shownId = entry.id;
  view.replaceChildren(...pairContent(entry));
  if (!view.open) view.showModal();
  view.scrollTop = 0;
}

// To the pair before or after this one in the table, as it is sorted and filtered now.
function step(by) {
  const shown = table.order.filter(isShown);
  const place = shown.findIndex((entry) => `#${entry.id}` === location.hash);
  const next = shown[place + by];
  if (next) location.replace(`#${next.id}`);
}

function pairContent(entry) {
  const { word, look } = outcomeOf(entry);
  const button = (text, name, act) => {
    const made = element("button", { type: "button", "aria-label": name, title: name }, text);
    made.addEventListener("click", act);
    return made;
  };
  const head = element("div", { class: "view-head" },
    element("div", {}, element("p", { class: "kicker" }, [networkOf(entry) || "no network", entry.test].filter(Boolean).join(" · ")), element("h2", { id: "view-title", tabindex: -1, autofocus: true }, entry.pair)),
    element("div", { class: "view-buttons" }, button("‹", "Previous pair", () => step(-1)), button("›", "Next pair", () => step(1)), button("✕", "Close", () => view.close())));
  const body = element("div", { class: "view-body" });
  const said = element("div", { class: `said ${look}` }, element("p", {}, element("span", { class: `state ${look}` }, word), " ", entry.what ?? entry.reason ?? (look === "good" ? "within its limits" : "")));
  const isSaid = entry.advice && entry.reason?.startsWith(entry.what);
  if (entry.what && entry.reason && !isSaid) said.append(element("p", { class: "hint" }, entry.reason));
  for (const words of entry.advice ?? []) said.append(element("p", { class: "advice" }, words));
  body.append(said, attemptsOf(entry), ...measuredContent(entry, limitsOf(entry)));
  (entry.extra ?? []).forEach((extra, number) => {
    body.append(element("h3", { class: "extra" }, [`${extra.fixture} ${number + 1}`, extra.differs, extra.reason].filter(Boolean).join(": ")), ...measuredContent(extra, {}));
  });
  body.append(factsOf(entry));
  return [head, body];
}

function attemptsOf(entry) {
  const others = data.entries.filter((other) => other.nodeid === entry.nodeid);
  if (others.length < 2) return "";
  const links = others.flatMap((other) => [" ", other === entry ? element("b", {}, String(other.attempt)) : element("a", { href: `#${other.id}` }, String(other.attempt))]);
  return element("p", { class: "attempts" }, "Attempt", ...links);
}

function measuredContent(measured, limits) {
  const parts = [];
  if (measured.sent !== undefined) parts.push(...tilesOf(measured, limits));
  const moved = measured.move && movePicture(measured, limits.maxLatencyNanoSec);
  if (moved) parts.push(figure(moved, "Round-trip time of each reply, by when it came"), moveLegend(measured), phaseTable(measured.move));
  const rtt = moved ? null : rttPicture(measured, limits.maxLatencyNanoSec);
  if (rtt) parts.push(figure(rtt, "Round-trip time of each ping"));
  else if (measured.sent !== undefined && !moved) parts.push(element("p", { class: "none" }, `None of ${plural(measured.sent, "ping")} got a reply.`));
  else if (measured.sent === undefined) parts.push(element("p", { class: "none" }, "Nothing was measured, so there are no numbers."));
  if (measured.loss && measured.lost === undefined && rtt) parts.push(element("p", { class: "hint" }, "This document does not say which pings were lost."));
  const ecdf = ecdfPicture(measured, limits.maxLatencyNanoSec);
  if (ecdf) parts.push(figure(ecdf, "Share of pings answered within a time", [["own", "this pair"], ["all", "all pairs of the network"]]));
  for (const note of measured.notes ?? []) parts.push(element("p", { class: "hint" }, `Note: ${note}`));
  const transcript = transcriptOf(measured);
  if (transcript) parts.push(element("details", { open: measured.kind !== undefined && !measured.samples }, element("summary", {}, "Console transcript"), element("pre", { tabindex: 0 }, transcript)));
  return parts;
}

function figure(image, title, keys = []) {
  const marks = keys.map(([look, text]) => element("span", { class: "key" }, element("span", { class: `stroke ${look}` }), text));
  return element("figure", {}, element("figcaption", {}, title, ...marks), image);
}

const TILES = [["min", "min"], ["p50", "p50"], ["avg", "mean"], ["p90", "p90"], ["p99", "p99"], ["max", "max"]];

function tilesOf(measured, limits) {
  let list = element("dl", { class: "tiles" });
  const lists = [list];
  const add = (name, value, unit, limit, isOver, change) => {
    const tile = element("div", { class: isOver ? "broken" : null }, element("dt", {}, name), element("dd", {}, value, element("small", {}, ` ${unit}`)));
    // The limit on the gap is for what a migration does to its sample.
    if (limit) tile.append(element("dd", { class: "bound" }, `limit ${limit}${measured.move && name !== "longest gap" ? " outside of gaps" : ""}`));
    if (isKnown(change?.deltaPercent)) tile.append(element("dd", { class: "before" }, `${signed(change.deltaPercent)}% ${change.regressed ? "▲" : ""}`), element("dd", { class: "before" }, `was ${milliseconds(change.baselineNanoSec)} ms`));
    list.append(tile);
  };
  const maxLoss = limits.maxLossPercent;
  add("loss", percent(measured.loss), "%", isKnown(maxLoss) ? `${maxLoss}%` : null, isBroken(measured, "loss", measured.loss, maxLoss));
  const bounds = { max: limits.maxLatencyNanoSec, avg: limits.maxAvgLatencyNanoSec, p99: limits.maxP99LatencyNanoSec };
  for (const [key, name] of TILES) {
    if (measured[key] === undefined) continue;
    const bound = bounds[key];
    add(name, milliseconds(measured[key]), "ms", isKnown(bound) ? rounded(bound) : null, isBroken(measured, key, measured[key], bound) || measured.comparison?.[key]?.regressed, measured.comparison?.[key]);
  }
  if (measured.move) lists.push(list = element("dl", { class: "tiles" }));
  if (measured.gap) {
    const bound = limits.maxGapNanoSec;
    add("longest gap", ...gapText(measured.gap[0]), isKnown(bound) ? rounded(bound) : null, isBroken(measured, "gap", measured.gap[0], bound));
  }
  if (measured.move) moveTiles(measured, list);
  return lists;
}

function factsOf(entry) {
  const ping = entry.ping === undefined ? null : data.pings[entry.ping];
  const guest = entry.guest === undefined ? null : data.guests[entry.guest];
  const rows = [
    ["Test", entry.nodeid],
    ["Sent", entry.sent === undefined ? null : [`${entry.sent} pings, ${entry.received} answered`, entry.duplicates ? `${entry.duplicates} duplicates` : "", entry.late ? `${entry.late} late` : "", entry.errors ? `${entry.errors} errors` : ""].filter(Boolean).join(", ")],
    ["Migration", entry.move && moveInWords(entry.move)],
    ["Ping", ping && entry.move ? `${ping.packetSizeBytes} bytes every ${milliseconds(entry.resolution ?? ping.intervalSec * 1e9)} ms, before, during and after the migration` : ping && `${ping.packetSizeBytes} bytes every ${ping.intervalSec * 1000} ms for ${ping.sampleDurationSec} s, after ${plural(ping.warmup, "reply", "replies")} of warm-up${ping.dontFragment ? ", not fragmented" : ""}`],
    ["Started", entry.start?.replace("T", " ").replace("Z", " UTC")],
    ["Round", entry.round],
    ["Guest", guest && [guest.profile, guest.image].filter(Boolean).join(", ")],
    ["VMIs", entry.vmis?.join(" → ")],
    ["Addresses", entry.addresses?.join(" → ")],
    ["Binding", entry.binding],
    ["Emulated", entry.emulated && "the guests ran under software emulation, which inflates the times"],
    ["Took", entry.timings && Object.entries(entry.timings).map(([name, seconds]) => `${name} ${seconds} s`).join(", ")],
  ];
  const list = element("dl", { class: "facts" });
  for (const [name, value] of rows) if (value) list.append(element("div", {}, element("dt", {}, name), element("dd", {}, String(value))));
  if (entry.file) {
    const folder = entry.file.slice(0, entry.file.lastIndexOf("/") + 1) || "./";
    list.append(element("div", {}, element("dt", {}, "Artifacts"), element("dd", {}, element("a", { href: entry.file }, "transcript"), " ", element("a", { href: folder }, "folder"))));
  }
  return list;
}
