// A migration: the samples by the time at which they came, the gaps marked, and the phases as bands under them.
const BAND = 20;
const BAND_GAP = 10;

// The table of migrations stands in the page: here its pairs become links.
function startMoves() {
  for (const cell of document.querySelectorAll("#moves [data-entry]")) {
    cell.append(element("a", { href: `#${data.entries[cell.dataset.entry].id}` }, ...cell.childNodes));
  }
}

const seconds = (nanoseconds) => (nanoseconds / 1e9).toFixed(nanoseconds < 9.95e8 ? 2 : 1);
// A gap with its unit: milliseconds, or seconds where these are many; rounded up, too.
const gapText = (nanoseconds) => (nanoseconds < 1e10 ? [gapMilliseconds(nanoseconds), "ms"] : [(Math.ceil(nanoseconds / 1e8) / 10).toFixed(1), "s"]);
const gapsOf = (move) => [["preparation", move.preparation], ["switch-over", move.switchover]].filter(([, gap]) => gap);

function moveInWords(move) {
  const took = isKnown(move.ended) ? `took ${seconds(move.ended - move.created)} s` : "";
  const failed = move.ok ? "" : ["failed", move.reason].filter(Boolean).join(": ");
  return [`${move.name}: ${move.from} → ${move.to || "?"}`, move.mode, took, failed].filter(Boolean).join(", ");
}

// The gaps, the longest one first, and what was before and after them.
function moveTiles(measured, list) {
  const { move } = measured;
  const add = (name, value, unit) => list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, ` ${unit}`))));
  for (const [name, gap] of gapsOf(move)) add(name, ...gapText(gap[0]));
  if (isKnown(move.before)) add("mean before", milliseconds(move.before), "ms");
  if (isKnown(move.after)) add("mean after", milliseconds(move.after), "ms");
  add("lost in gaps", String(move.lost), move.lost === 1 ? "ping" : "pings");
  return list;
}

function movePicture(measured, limit) {
  const { arrivals, move } = measured;
  const times = samplesOf(measured);
  if (!arrivals || !times.length) return null;
  const replies = arrivals.map((at, index) => ({ at: at * 1000, value: times[index] }));
  const last = replies.reduce((most, reply) => Math.max(most, reply.at), 0);
  const ends = [last, move.ended ?? 0, ...gapsOf(move).map(([, gap]) => gap[0] + gap[1])];
  const box = frame(300);
  const bottom = box.y0 - BAND - BAND_GAP;
  const width = Math.max(...ends, 1e9);
  const atX = (ns) => box.x0 + ((box.x1 - box.x0) * Math.min(ns, width)) / width;
  const said = gapsOf(move).map(([name, gap]) => `${name} gap ${gapText(gap[0]).join(" ")}`);
  const root = picture(box, `Round-trip times by when the replies came, while the guest migrated: ${said.join(", ")}`, "move");
  const atY = timesAxis(root, box, replies, limit, bottom);
  gapsOf(move).forEach((gap, row) => drawGap(root, box, gap, atX, bottom, row));
  if (isKnown(limit)) drawMoveLimit(root, box, limit, atY);
  for (const reply of thinnedReplies(replies, atX, atY)) {
    root.append(svg("circle", { cx: short(reply.x), cy: short(reply.y), r: 1.9, class: exceeds(reply.value, limit) ? "reply above" : "reply" }));
  }
  drawBands(root, box, move, atX, width);
  drawSeconds(root, box, width, atX);
  return root;
}

// Replies that waited for the guest are hundreds of times as late as others: the axis is logarithmic then.
function timesAxis(root, box, replies, limit, bottom) {
  // Not spread into Math.min's arguments: of a long migration they would be too many for a call.
  const lowest = Math.max(replies.reduce((least, reply) => Math.min(least, reply.value), Infinity) / 1e6, 1e-3);
  const highest = replies.reduce((most, reply) => Math.max(most, reply.value / 1e6), lowest * 1.001);
  const isLog = highest / lowest > 20;
  if (!isLog) {
    const scale = ticks(Math.max(highest, isKnown(limit) && limit / 1e6 <= 4 * highest ? limit / 1e6 : 0, 1e-3));
    const at = (ms) => bottom - ((bottom - box.y1) * ms) / scale[scale.length - 1];
    yAxis(root, box, scale, at, "ms");
    return at;
  }
  const low = 10 ** Math.floor(Math.log10(lowest));
  const high = 10 ** Math.ceil(Math.log10(highest));
  const at = (ms) => bottom - ((bottom - box.y1) * Math.log(Math.max(ms, low) / low)) / Math.log(high / low);
  const powers = [];
  for (let ms = low; ms <= high * 1.001; ms *= 10) powers.push(Number(ms.toPrecision(1)));
  yAxis(root, box, powers, at, "");
  root.append(label(4, box.y1 - 14, "ms, logarithmic", "start"));
  return at;
}

function drawMoveLimit(root, box, limit, atY) {
  const y = atY(limit / 1e6);
  if (y < box.y1) return;
  root.append(line(box.x0, y, box.x1, y, "limit"), label(box.x1, y - 5, `limit ${rounded(limit)}`, "end", "limit-text"));
}

// Each gap as an area across the times, with its length above; the second label is lower, so that they never meet.
function drawGap(root, box, [name, [length, begins]], atX, bottom, row) {
  const x = atX(begins);
  const wide = Math.max(atX(begins + length) - x, 1.5);
  const area = svg("rect", { x: short(x), y: box.y1, width: short(wide), height: short(bottom - box.y1), class: "gap-area" });
  area.append(svg("title", {}, `${name} gap: ${gapText(length).join(" ")}, from ${seconds(begins)} s on`));
  root.append(area, line(x, box.y1, x, bottom, "gap-edge"), line(x + wide, box.y1, x + wide, bottom, "gap-edge"));
  const isLeft = x + wide / 2 < (box.x0 + box.x1) / 2;
  root.append(label(isLeft ? Math.max(x, box.x0 + 46) : x + wide, box.y1 - 8 - (row ? 0 : 13), `${name} ${gapText(length).join(" ")}`, isLeft ? "start" : "end", "gap-text"));
}

function drawBands(root, box, move, atX, width) {
  const y = box.y0 - BAND;
  move.bands.forEach(([name, look, start, end], number) => {
    const isLast = number === move.bands.length - 1;
    const x = atX(move.created + start);
    const right = atX(isLast ? width : move.created + end);
    const band = svg("rect", { x: short(x), y, width: short(Math.max(right - x, 0.5)), height: BAND, class: `band ${look}` });
    band.append(svg("title", {}, isLast ? `${name}, ${seconds(start)} s after the migration was created` : `${name}: ${seconds(end - start)} s`));
    root.append(band);
    const room = right - x;
    const text = room > 7 * name.length + 6 ? name : room > 11 ? String(number + 1) : "";
    if (text) root.append(label((x + right) / 2, y + 14, text, "middle", `on-band on-${look}`));
  });
  if (!move.bands.length) root.append(line(atX(move.created), y, atX(move.created), y + BAND, "base"));
}

function drawSeconds(root, box, width, atX) {
  root.append(line(box.x0, box.y0, box.x1, box.y0, "base"));
  const step = ticks(width / 2e9)[1];
  const shown = Array.from({ length: Math.floor(width / 1e9 / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
  for (const value of shown) root.append(line(atX(value * 1e9), box.y0, atX(value * 1e9), box.y0 + 4, "base"), label(atX(value * 1e9), box.y0 + 17, String(value)));
  root.append(label((box.x0 + box.x1) / 2, box.y0 + 33, "seconds since ping began"));
}

// One dot for those that would lie on each other.
function thinnedReplies(replies, atX, atY) {
  const seen = new Set();
  return replies.map((reply) => ({ ...reply, x: atX(reply.at), y: atY(reply.value / 1e6) })).filter(({ x, y }) => {
    const place = `${Math.round(x * 2)} ${Math.round(y * 2)}`;
    return !seen.has(place) && seen.add(place);
  });
}

function moveLegend(measured) {
  const { move } = measured;
  const items = move.bands.map(([name, look], number) => element("li", {}, element("span", { class: `swatch ${look}` }), `${number + 1} ${name}`));
  return element("ul", { class: "legend", "aria-label": "Legend" }, element("li", {}, element("span", { class: "swatch gap" }), "no reply"), ...items);
}

function phaseTable(move) {
  if (!move.bands.length) return "";
  const rows = move.bands.map(([name, , start, end], number) => element("tr", {},
    element("td", {}, String(number + 1)), element("th", { scope: "row" }, name),
    element("td", { class: "number" }, number ? `${seconds(start)} s` : "0"),
    element("td", { class: "number" }, number ? `${Math.round(move.unsure[number] / 1e6)} ms` : ""),
    element("td", { class: "number" }, number < move.bands.length - 1 ? `${seconds(end - start)} s` : ""),
    element("td", {}, move.stamps[number].replace("T", " ").replace("Z", " UTC"))));
  const heads = ["", "phase", "seen after", "± ", "took", "by the cluster's clock"].map((name) => element("th", { scope: "col" }, name));
  return element("details", {}, element("summary", {}, "Phases of the migration"), element("div", { class: "scroll" }, element("table", { class: "plain" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows))));
}
