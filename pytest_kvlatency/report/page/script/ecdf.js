// The share of pings that were answered within a time, on an axis that all pairs of a network have in common.
const pooled = new Map();

// All times of a network in order; worked out when the first of its pairs is opened.
function poolOf(network) {
  if (!pooled.has(network)) {
    const all = data.entries.filter((entry) => entry.network === network && isLast(entry) && !entry.move).flatMap(samplesOf);
    pooled.set(network, Float64Array.from(all).sort());
  }
  return pooled.get(network);
}

function ecdfPicture(measured, limit) {
  const own = Float64Array.from(samplesOf(measured)).sort();
  if (!own.length) return null;
  const pool = measured.network === undefined ? own : poolOf(measured.network);
  const all = pool.length ? pool : own;
  const low = Math.min(all[0], own[0]);
  const high = Math.max(all[all.length - 1], own[own.length - 1]);
  const box = frame(244);
  const axis = timeAxis(low, high, box);
  const sent = Math.max(measured.sent ?? 0, own.length);
  const atY = (share) => box.y0 - (box.y0 - box.y1) * share;
  const root = picture(box, `Share of pings answered within a time; half of the replies within ${milliseconds(own[Math.floor((own.length - 1) / 2)])} ms`, "ecdf");
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    root.append(line(box.x0, atY(share), box.x1, atY(share), share ? "grid" : "base"), label(box.x0 - 8, atY(share) + 4, `${share * 100}`, "end"));
  }
  root.append(label(box.x0 - 8, box.y1 - 14, "%", "end"));
  for (const ms of axis.ticks) root.append(line(axis.at(ms), box.y0, axis.at(ms), box.y0 + 4, "base"), label(axis.at(ms), box.y0 + 17, String(ms)));
  root.append(label((box.x0 + box.x1) / 2, box.y0 + 33, axis.isLog ? "ms, logarithmic; the same for all pairs of the network" : "ms; the same for all pairs of the network"));
  if (isKnown(limit)) {
    const ms = limit / 1e6;
    if (ms >= axis.low && ms <= axis.high) root.append(line(axis.at(ms), box.y1, axis.at(ms), box.y0, "limit"), label(axis.at(ms) - 5, box.y1 + 10, "limit", "end", "limit-text"));
  }
  if (all.length > own.length) root.append(svg("path", { d: steps(all, all.length, axis.at, atY, box), class: "ecdf-all" }));
  root.append(svg("path", { d: steps(own, sent, axis.at, atY, box), class: "ecdf-own" }));
  return root;
}

function timeAxis(lowNs, highNs, box) {
  const lowMs = Math.max(lowNs / 1e6, 1e-3);
  const highMs = Math.max(highNs / 1e6, lowMs * 1.001);
  const isLog = highMs / lowMs > 20;
  if (isLog) {
    const values = [];
    for (let power = Math.floor(Math.log10(lowMs)); power <= Math.ceil(Math.log10(highMs)); power += 1) {
      for (const factor of [1, 2, 5]) values.push(Number((factor * 10 ** power).toPrecision(3)));
    }
    const low = values.filter((value) => value <= lowMs).pop();
    const high = values.find((value) => value >= highMs);
    const at = (ms) => box.x0 + ((box.x1 - box.x0) * Math.log(Math.max(ms, low) / low)) / Math.log(high / low);
    return { isLog, low, high, at, ticks: values.filter((value) => value >= low && value <= high) };
  }
  const shown = ticks(highMs);
  const high = shown[shown.length - 1];
  return { isLog, low: 0, high, at: (ms) => box.x0 + ((box.x1 - box.x0) * ms) / high, ticks: shown };
}

function steps(sorted, total, atX, atY, box) {
  let path = `M${box.x0} ${atY(0)}`;
  const stride = Math.max(1, Math.floor(sorted.length / 400));
  for (let index = 0; index < sorted.length; index += 1) {
    if (index % stride === 0 || index === sorted.length - 1) path += `H${short(atX(sorted[index] / 1e6))}V${short(atY((index + 1) / total))}`;
  }
  return `${path}H${box.x1}`;
}
