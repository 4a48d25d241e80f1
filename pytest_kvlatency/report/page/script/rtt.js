// Round-trip times over the ping's number: every reply, every lost ping, and the limit.
const MOST_POINTS = 800;
const LOST_BAND = 16;

function rttPicture(measured, limit) {
  const replies = repliesOf(measured);
  const lost = measured.lost ?? [];
  const sent = Math.max(measured.sent ?? 0, replies.length + lost.length, 1);
  const highest = replies.reduce((most, reply) => Math.max(most, reply.value), 0);
  if (!replies.length && !lost.length) return null;
  // A limit far above would flatten the times: it is then drawn at the upper edge.
  const fits = isKnown(limit) && (limit <= 4 * highest || !highest);
  const scale = ticks(Math.max(highest, fits ? limit : 0, 1000) / 1e6);
  const box = frame(lost.length ? 272 : 244);
  const bottom = box.y0 - (lost.length ? LOST_BAND + 8 : 0);
  const top = scale[scale.length - 1];
  const atY = (ms) => bottom - ((bottom - box.y1) * ms) / top;
  const atX = (number) => box.x0 + 8 + ((box.x1 - box.x0 - 16) * number) / Math.max(1, sent - 1);
  const said = `${plural(replies.length, "reply", "replies")} of ${plural(sent, "ping")}` + (lost.length ? `, ${lost.length} lost` : "");
  const root = picture(box, `Round-trip times in the order of sending: ${said}`, "rtt");
  yAxis(root, box, scale, atY, "ms");
  drawLimit(root, box, limit, fits, atY);
  drawLost(root, box, lost, atX, replies.length > 0);
  root.append(svg("path", { d: pathOf(replies, atX, atY), class: "trace" }));
  if (replies.length <= 250) {
    for (const reply of replies) {
      const over = exceeds(reply.value, limit);
      const dot = svg("circle", { cx: short(atX(reply.number)), cy: short(atY(reply.value / 1e6)), r: 2.6, class: over ? "reply above" : "reply" });
      dot.append(svg("title", {}, `ping ${reply.number + 1}: ${(reply.value / 1e6).toFixed(3)} ms`));
      root.append(dot);
    }
  }
  drawNumbers(root, box, sent, atX);
  return root;
}

function drawLimit(root, box, limit, fits, atY) {
  if (!isKnown(limit)) return;
  const y = fits ? atY(limit / 1e6) : box.y1 - 10;
  root.append(line(box.x0, y, box.x1, y, "limit"));
  root.append(label(box.x1, y - 5, `limit ${rounded(limit)}${fits ? "" : " (above the scale)"}`, "end", "limit-text"));
}

function drawLost(root, box, lost, atX, hasReplies) {
  if (!lost.length) return;
  const y = box.y0 - LOST_BAND / 2;
  root.append(svg("rect", { x: box.x0, y: box.y0 - LOST_BAND, width: box.x1 - box.x0, height: LOST_BAND, class: "lost-band" }));
  root.append(label(box.x0 - 8, y + 4, "lost", "end", "lost-text"));
  // A stripe up to the times where these have gaps; where nearly all is lost the marks are enough.
  if (hasReplies) root.append(svg("path", { d: lost.map((number) => `M${short(atX(number))} ${box.y1}V${box.y0 - LOST_BAND}`).join(""), class: "lost-line" }));
  for (const number of lost) {
    const x = atX(number);
    const mark = svg("path", { d: `M${short(x - 3.5)} ${y - 3.5}l7 7m0 -7l-7 7`, class: "lost", "data-ping": number });
    mark.append(svg("title", {}, `ping ${number + 1}: lost`));
    root.append(mark);
  }
}

function drawNumbers(root, box, sent, atX) {
  root.append(line(box.x0, box.y0, box.x1, box.y0, "base"));
  const step = Math.max(1, Math.ceil((sent * 60) / (box.x1 - box.x0) / 5) * 5);
  const numbers = [1];
  for (let number = step; number < sent - step / 2; number += step) if (number > 1) numbers.push(number);
  if (sent > 1) numbers.push(sent);
  for (const number of numbers) root.append(label(atX(number - 1), box.y0 + 16, String(number)));
  root.append(label((box.x0 + box.x1) / 2, box.y0 + 33, "ping"));
}

// The line breaks where pings were lost; of very many replies the extremes of each stretch are drawn, so that no peak is lost.
function pathOf(replies, atX, atY) {
  let path = "";
  let before = -Infinity;
  for (const reply of thinned(replies)) {
    path += `${reply.number - before > reply.gap ? "M" : "L"}${short(atX(reply.number))} ${short(atY(reply.value / 1e6))}`;
    before = reply.number;
  }
  return path;
}

function thinned(replies) {
  if (replies.length <= MOST_POINTS) return replies.map((reply) => ({ ...reply, gap: 1 }));
  const width = Math.ceil((2 * replies.length) / MOST_POINTS);
  const kept = [];
  for (let start = 0; start < replies.length; start += width) {
    const stretch = replies.slice(start, start + width);
    const least = stretch.reduce((one, other) => (other.value < one.value ? other : one));
    const most = stretch.reduce((one, other) => (other.value > one.value ? other : one));
    const ends = least.number < most.number ? [least, most] : [most, least];
    kept.push(...(least === most ? [least] : ends).map((reply) => ({ ...reply, gap: 2 * width })));
  }
  return kept;
}

// The same without axes, for a row of the table.
function sparkline(measured) {
  const replies = repliesOf(measured);
  const lost = measured.lost ?? [];
  if (!replies.length && !lost.length) return null;
  const sent = Math.max(measured.sent ?? 0, replies.length + lost.length, 2);
  const highest = replies.reduce((most, reply) => Math.max(most, reply.value), 1) / 1e6;
  const atX = (number) => 2 + (116 * number) / (sent - 1);
  const atY = (ms) => 21 - (19 * ms) / highest;
  const root = svg("svg", { viewBox: "0 0 120 24", width: 120, height: 24, class: "spark", "aria-hidden": "true" });
  if (lost.length) root.append(svg("path", { d: lost.map((number) => `M${short(atX(number))} 1V23`).join(""), class: "spark-lost" }));
  root.append(svg("path", { d: pathOf(replies, atX, atY), class: "trace" }));
  return root;
}
