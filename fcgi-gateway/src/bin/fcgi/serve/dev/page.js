// Shows what the server tells. All of it may come from strangers: it becomes text, and never markup.
"use strict";

const PHASES = ["gateway", "queue", "connect", "first_byte", "body"];
const NAMES = { gateway: "gateway", queue: "queue", connect: "connect", first_byte: "first byte", body: "body" };
const THRESHOLD = 500;

const by = (id) => document.getElementById(id);
const table = by("requests");

/** Requests by number, in order, each with its part of the table once it has one. */
const requests = new Map();
/** Those to be drawn anew. */
const dirty = new Set();
let run = "";
let kept = 200;
/** Those up to this number were cleared away. */
let cleared = 0;
let paused = false;
/** Requests that came while it was paused. */
let unseen = 0;
let missed = 0;
let source = null;
let scheduled = false;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- what comes

function connect() {
  source = new EventSource("events");
  source.onopen = () => state("live", "live");
  source.onerror = () => {
    state("gone", "the server is gone; trying again");
    // Answers other than 200 end it for good.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
  const on = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  on("snapshot", takeSnapshot);
  on("request", takeRequest);
  on("stderr", takeLine);
  on("pools", drawPools);
}

function state(className, text) {
  by("state").className = className;
  by("state").textContent = text;
}

function takeSnapshot(all) {
  if (paused) return;
  if (all.run !== run) {
    // Numbers begin anew with another run of the server.
    run = all.run;
    cleared = 0;
    for (const known of requests.values()) known.isOpen = false;
  }
  const open = new Set([...requests.values()].filter((known) => known.isOpen).map((known) => known.request.number));
  kept = all.kept;
  by("site").textContent = all.site;
  for (const number of [...requests.keys()]) remove(number);
  for (const request of all.requests) takeRequest(request);
  for (const number of open) if (requests.has(number)) requests.get(number).isOpen = true;
  missed += all.skipped;
  draw();
}

function takeRequest(request) {
  if (request.number <= cleared) return;
  if (paused) {
    if (!request.end) unseen += 1;
    return note();
  }
  const known = requests.get(request.number);
  if (known) known.request = request;
  else requests.set(request.number, { request, part: null, isOpen: false });
  if (requests.size > kept) remove(requests.keys().next().value);
  changed(request.number);
}

function takeLine({ number, line }) {
  const known = requests.get(number);
  if (!known || paused) return;
  known.request.stderr.push(line);
  if (known.request.stderr.length > 20) {
    known.request.stderr.shift();
    known.request.stderr_dropped += 1;
  }
  changed(number);
}

function remove(number) {
  requests.get(number)?.part?.remove();
  requests.delete(number);
  dirty.delete(number);
}

function changed(number) {
  dirty.add(number);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

// ---- the table

function draw() {
  scheduled = false;
  note();
  for (const number of dirty) {
    const known = requests.get(number);
    const part = drawn(known);
    if (known.part) known.part.replaceWith(part);
    else insert(part, number);
    known.part = part;
  }
  dirty.clear();
  choose();
}

/** The newest is on top. */
function insert(part, number) {
  part.dataset.number = number;
  for (const other of table.tBodies) {
    if (Number(other.dataset.number) < number) return other.before(part);
  }
  table.append(part);
}

function drawn(known) {
  const { request, isOpen } = known;
  const { end } = request;
  const part = element("tbody", kind(request));
  part.dataset.number = request.number;
  const row = element("tr", "main");
  const target = element("td", "target");
  const button = element("button", "", request.target);
  button.type = "button";
  button.title = request.target;
  button.setAttribute("aria-expanded", isOpen);
  target.append(button);
  const status = element("td", "status");
  status.append(element("span", "badge", end ? (end.outcome === "cut" ? end.status + " cut" : end.status) : "…"));
  const fall = element("td", "fall");
  fall.append(bar(request));
  row.append(
    element("td", "method", request.method), target, status,
    element("td", "size", end ? bytes(end.sent) : ""),
    element("td", "time", end ? time(end.total) : ""),
    fall,
  );
  part.append(row);
  if (end?.failure) part.append(more("failure", element("p", "", end.failure)));
  if (request.stderr.length) {
    const dropped = request.stderr_dropped ? [`… ${request.stderr_dropped} more lines before …`] : [];
    part.append(more("stderr", element("pre", "", [...dropped, ...request.stderr].join("\n"))));
  }
  if (isOpen) part.append(more("details", details(request)));
  return part;
}

function more(className, content) {
  const row = element("tr", "more " + className);
  const cell = element("td");
  cell.colSpan = 6;
  cell.append(content);
  row.append(cell);
  return row;
}

function kind({ end }) {
  if (!end) return "running";
  const kinds = [];
  if (end.status >= 500 || end.outcome === "cut") kinds.push("broken");
  else if (end.status >= 400) kinds.push("client");
  else if (end.status >= 300) kinds.push("redirected");
  if (end.total >= threshold() * 1000) kinds.push("slow");
  return kinds.join(" ");
}

function bar({ at, end }) {
  const made = element("div", "bar");
  if (!end) {
    made.append(segment("open", 0, Math.max(0, Date.now() - at) * 1000));
    return made;
  }
  const told = [];
  let from = 0;
  for (const phase of PHASES) {
    const length = end.phases[phase];
    if (length > 0) {
      made.append(segment(phase, from, length));
      told.push(`${NAMES[phase]} ${time(length)}`);
    }
    from += length;
  }
  made.title = told.join(", ");
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", made.title);
  return made;
}

function segment(className, from, length) {
  const made = element("span", className);
  made.style.setProperty("--from", from);
  made.style.setProperty("--for", length);
  return made;
}

function details({ id, at, end, stderr_dropped: dropped }) {
  const list = element("dl");
  const add = (name, value) => {
    if (value !== null && value !== undefined) list.append(element("dt", "", name), element("dd", "", value));
  };
  add("begun", new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }));
  add("id", id);
  if (end) {
    add("phases", PHASES.filter((phase) => end.phases[phase] > 0).map((phase) => `${NAMES[phase]} ${time(end.phases[phase])}`).join(", "));
    add("received, sent", `${bytes(end.received)}, ${bytes(end.sent)}`);
    add("answered by", end.upstream ?? "fcgi itself");
    add("host", end.host);
    add("client", end.remote && `${end.remote}, ${end.version}`);
    add("end", { complete: "complete", cut: "cut: PHP broke off", client_gone: "the client was gone before the end" }[end.outcome] ?? end.outcome);
  }
  if (dropped) add("messages left out", dropped);
  return list;
}

// ---- which are shown, and to what scale

function choose() {
  const words = by("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [onlyErrors, onlySlow] = [by("only-errors").checked, by("only-slow").checked];
  const totals = [];
  let shown = 0;
  for (const { request, part } of requests.values()) {
    if (!part) continue;
    const { end } = request;
    const isError = end && (end.status >= 400 || end.outcome === "cut") || request.stderr.length > 0;
    const text = [request.method, request.target, end?.status, end?.failure, ...request.stderr].join(" ").toLowerCase();
    const isShown = words.every((word) => text.includes(word)) && (!onlyErrors || isError)
      && (!onlySlow || part.classList.contains("slow"));
    part.hidden = !isShown;
    if (isShown) shown += 1;
    if (isShown && end) totals.push(end.total);
  }
  scale(totals);
  const none = requests.size ? "None of the requests fits the filter." : "No requests yet. They appear here as they come.";
  by("empty").textContent = none;
  by("empty").hidden = shown > 0;
}

/** Nine of ten fit; one that takes far longer runs out of the picture, or it would leave the others no room. */
function scale(totals) {
  totals.sort((a, b) => a - b);
  const most = totals[Math.floor((totals.length - 1) * 0.9)] ?? 0;
  const longest = totals.at(-1) ?? 0;
  const full = nice(longest <= most * 4 ? longest : most * 1.5);
  table.style.setProperty("--scale", full);
  const marks = by("axis").children;
  marks[1].textContent = time(full / 2);
  marks[2].textContent = time(full);
  for (const { request, part } of requests.values()) part?.classList.toggle("over", (request.end?.total ?? 0) > full);
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1000)));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value) ?? 10 * power;
}

function threshold() {
  const value = Number(by("threshold").value);
  return value > 0 ? value : THRESHOLD;
}

function time(micros) {
  if (micros < 10_000) return (micros / 1000).toFixed(micros < 1000 ? 2 : 1) + " ms";
  if (micros < 10_000_000) return Math.round(micros / 1000).toLocaleString("en") + " ms";
  return (micros / 1_000_000).toFixed(1) + " s";
}

function bytes(count) {
  if (count < 1000) return count + " B";
  const power = Math.min(Math.floor(Math.log10(count) / 3), 4);
  return (count / 1000 ** power).toFixed(1) + " " + ["", "kB", "MB", "GB", "TB"][power];
}

// ---- the pools

function drawPools(pools) {
  by("pools").replaceChildren(...pools.map(pool));
}

function pool(figures) {
  const made = element("article", "pool");
  const title = element("h2");
  title.append(element("small", "", "PHP"), figures.addresses.join(", ") || "no address");
  const list = element("dl");
  const add = (name, value, isAlarm) => {
    const pair = element("div", isAlarm ? "alarm" : "");
    pair.append(element("dt", "", name), element("dd", "", value));
    list.append(pair);
  };
  add("connections", figures.connections);
  add("busy", figures.in_flight);
  add("idle", figures.idle);
  add("waiting", figures.waiting, figures.waiting > 0);
  add("dials", figures.dials);
  if (figures.failed_dials) add("failed dials", figures.failed_dials, true);
  if (figures.retries) add("tried again", figures.retries);
  if (figures.timeouts) add("timed out", figures.timeouts, true);
  if (figures.turned_away) add("turned away", figures.turned_away, true);
  made.append(title, list);
  return made;
}

// ---- tools

function note() {
  const parts = [];
  if (paused) parts.push(unseen === 1 ? "Paused. One request has come since." : `Paused. ${unseen} requests have come since.`);
  if (missed) parts.push(`This page was too slow for ${missed} changes, which were skipped; the last ${kept} requests are complete.`);
  by("note").textContent = parts.join(" ");
  by("note").hidden = !parts.length;
}

function drawAll() {
  for (const number of requests.keys()) dirty.add(number);
  draw();
}

by("pause").addEventListener("click", () => {
  paused = !paused;
  by("pause").setAttribute("aria-pressed", paused);
  by("pause").textContent = paused ? "Resume" : "Pause";
  unseen = 0;
  note();
  if (paused) return;
  // What has come in between is sent anew with all the rest.
  source.close();
  connect();
});
by("clear").addEventListener("click", () => {
  for (const number of [...requests.keys()]) {
    cleared = Math.max(cleared, number);
    remove(number);
  }
  missed = 0;
  note();
  choose();
});
for (const id of ["filter", "only-errors", "only-slow"]) by(id).addEventListener("input", choose);
by("threshold").addEventListener("input", () => {
  localStorage.setItem("threshold", threshold());
  drawAll();
});
by("tools").addEventListener("submit", (event) => event.preventDefault());
table.addEventListener("click", ({ target }) => {
  const number = Number(target.closest?.("button")?.closest("tbody")?.dataset.number);
  const known = requests.get(number);
  if (!known?.part) return;
  known.isOpen = !known.isOpen;
  const part = drawn(known);
  known.part.replaceWith(part);
  known.part = part;
  choose();
  part.querySelector("button").focus();
});
// Those that run grow.
setInterval(() => {
  if (paused) return;
  for (const { request, part } of requests.values()) {
    if (part && !request.end) {
      const length = Math.max(0, Date.now() - request.at) * 1000;
      part.querySelector(".bar .open")?.style.setProperty("--for", length);
      part.querySelector(".time").textContent = time(length);
    }
  }
}, 200);

by("threshold").value = Number(localStorage.getItem("threshold")) || THRESHOLD;
choose();
connect();
