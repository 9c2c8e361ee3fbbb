"use strict";

const $ = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name=${name}]`).content;
const MARKS = { bad: "✗", warn: "▲", ok: "●", off: "○" };
const SECONDS = 30, LINES = 500, PLOTS = 3, HOLD = 3;
const control = meta("control") === "yes";

let events = null, heard = performance.now(), over = false;
let wanted = [];        // of {topic, path, unit, trouble, points: [[time, value], ...]}
let clock = 0;          // of the robot's machine, monotonic seconds: that of all points
let firstEvent = true;  // of a connection: the log comes from its beginning

// What is written only changes where it differs: nothing flickers, and text stays selected.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function children(parent, count, tag) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(document.createElement(tag));
  return parent.children;
}

function table(name, panel) {
  const [, title, columns, lines, empty] = panel;
  const section = $(name), [head, body] = parts(section.querySelector("table"));
  say(section.querySelector("h2"), title);
  say(section.querySelector(".empty"), lines.length ? "" : empty);
  section.querySelector(".scroll").hidden = !lines.length;
  const classes = columns.map(([, spare, right]) => `s${spare}${right ? " right" : ""}`);
  const row = (tr, tag, cells) => [...children(tr, cells.length, tag)].forEach((cell, n) => {
    say(cell, cells[n]);
    if (cell.className !== classes[n]) cell.className = classes[n];
  });
  row(children(head, 1, "tr")[0], "th", columns.map(([title]) => title));
  const rows = children(body, lines.length, "tr");
  lines.forEach(([, level, cells], n) => {
    if (rows[n].className !== level) rows[n].className = level;
    row(rows[n], "td", cells);
  });
}

function parts(element) {
  if (!element.tHead) element.append(document.createElement("thead"), document.createElement("tbody"));
  return [element.tHead, element.tBodies[0]];
}

function show(found) {
  over = found.ended;
  say($("title"), found.title);
  say($("up"), found.up && !over ? `up ${found.up}` : "");
  say($("counts"), found.counts);
  $("mock").hidden = !found.mock;
  const bad = over ? 0 : found.verdict.filter(([level]) => level === "bad").length;
  $("failing").hidden = !bad;
  say($("failing"), `✗ ${bad} FAILING`);
  document.title = (bad ? "✗ " : "") + `HORUS ${found.title}`;
  const shown = found.verdict.slice(0, Math.max(3, Math.min(bad, 6)));
  const more = found.verdict.length - shown.length;
  if (more) shown.push(["off", `and ${more} more, first in their tables`]);
  const items = children($("verdict"), shown.length, "li");
  shown.forEach(([level, text], n) => {
    items[n].className = level;
    say(items[n], more && n === shown.length - 1 ? text : `${MARKS[level]} ${text}`);
  });
  $("stopped").hidden = !found.stop;
  if (found.stop) {
    const words = [found.stop.reason, found.stop.source && `by ${found.stop.source}`];
    say($("why"), `(${words.filter(Boolean).join(", ")})`);
  }
  $("stop").disabled = over;
  for (const name of ["devices", "nodes", "topics"]) table(name, found.panels[name]);
  topics(found.panels.topics[3].map(([key]) => key));
  log(found.log);
  clock = found.clock;
  found.plots.forEach(plot);
  draw();
}

function log(lines) {
  const list = $("lines"), atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
  if (firstEvent) list.replaceChildren();
  firstEvent = false;
  for (const [, level, [time, word, who, text]] of lines) {
    const item = document.createElement("li");
    item.className = level;
    item.textContent = `${time}  ${word.padEnd(8)} ${who}: ${text}`;
    list.append(item);
  }
  while (list.children.length > LINES) list.firstElementChild.remove();
  if (!list.children.length) list.textContent = "nothing was printed yet";
  if (atEnd && lines.length) list.scrollTop = list.scrollHeight;
}

// the connection ------------------------------------------------------------------------------

function connect() {
  if (events) events.close();
  const words = wanted.map(({ topic, path }) => `plot=${encodeURIComponent(`${topic}/f/${path}`)}`);
  if ($("all").checked) words.push("all=1");
  firstEvent = true;
  events = new EventSource(`/events?${words.join("&")}`);
  events.onmessage = (event) => {
    heard = performance.now();
    show(JSON.parse(event.data));
    silence();
  };
  events.addEventListener("trouble", (event) => {
    const text = JSON.parse(event.data);
    if (text) silence(text);
  });
  events.onerror = () => { firstEvent = true; };
}

function silence(text = "") {
  const gone = (performance.now() - heard) / 1000;
  if (!text && gone > 3) {
    text = `No news for ${gone.toFixed(0)} s: horus monitor has ended, or cannot be reached. `
      + "What is shown is old.";
  }
  $("silent").hidden = !text;
  say($("silent"), text);
  document.body.classList.toggle("stale", Boolean(text) || over);
}

// plots ---------------------------------------------------------------------------------------

function topics(names) {
  const select = $("topic"), before = select.value;
  if ([...select.options].map((option) => option.value).join() === names.join()) return;
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  if (names.includes(before)) select.value = before; else fields();
}

async function fields() {
  const topic = $("topic").value;
  if (!topic) return;
  const answer = await fetch(`/fields?topic=${encodeURIComponent(topic)}`);
  const found = answer.ok ? await answer.json() : [];
  if ($("topic").value !== topic) return;
  const name = ({ path, unit }) => `${path || "value"}${unit ? ` / ${unit}` : ""}`;
  $("field").replaceChildren(...found.map((field) => new Option(name(field), field.path)));
}

function plot({ topic, path, unit, trouble, points }) {
  const known = wanted.find((one) => one.topic === topic && one.path === path);
  if (!known) return;
  Object.assign(known, { unit, trouble });
  known.points.push(...points);
  while (known.points.length && known.points[0][0] < clock - SECONDS - 1) known.points.shift();
}

function figures() {
  const charts = $("charts");
  charts.replaceChildren(...wanted.map((one) => {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    const text = document.createElement("span"), button = document.createElement("button");
    button.type = "button";
    button.textContent = "×";
    button.ariaLabel = `remove the plot of ${one.topic} ${one.path}`;
    button.onclick = () => { wanted = wanted.filter((other) => other !== one); figures(); connect(); };
    caption.append(text, button);
    figure.append(caption, document.createElement("canvas"));
    return figure;
  }));
  draw();
}

function draw() {
  [...$("charts").children].forEach((figure, n) => {
    const one = wanted[n], newest = one.points.at(-1);
    const value = newest && newest[1] !== null ? `${+newest[1].toPrecision(6)} ${one.unit || ""}` : "";
    const text = `${one.topic} ${one.path}: ${value} ${one.trouble ? `(${one.trouble})` : ""}`;
    say(figure.querySelector("span"), text);
    chart(figure.querySelector("canvas"), one.points, n);
  });
}

function chart(canvas, points, number) {
  const style = getComputedStyle(document.documentElement), ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== width * ratio || canvas.height !== height * ratio) {
    canvas.width = width * ratio;
    canvas.height = height * ratio;
  }
  const pen = canvas.getContext("2d"), now = clock;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const values = points.map(([, value]) => value).filter((value) => value !== null);
  let low = Math.min(...values), high = Math.max(...values);
  if (!values.length) [low, high] = [-1, 1];
  if (low === high) { const margin = Math.abs(low) * 0.1 || 1; low -= margin; high += margin; }
  const left = 64, bottom = height - 18;
  const x = (time) => left + (1 - (now - time) / SECONDS) * (width - left);
  const step = 10 ** Math.floor(Math.log10((high - low) / 500));
  const label = (value) => `${+(Math.round(value / step) * step).toPrecision(5)}`;
  const y = (value) => 8 + (high - value) / (high - low) * (bottom - 8);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = style.getPropertyValue("--faint");
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.lineWidth = 1;
  for (const value of [high, (high + low) / 2, low]) {
    pen.textAlign = "right";
    pen.fillText(label(value), left - 6, y(value) + 4);
    pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(width, y(value)); pen.stroke();
  }
  for (let ago = 0; ago <= SECONDS; ago += 10) {
    pen.textAlign = ago ? "center" : "right";
    pen.fillText(ago ? `-${ago} s` : "now", Math.max(x(now - ago), left), height - 4);
  }
  pen.strokeStyle = style.getPropertyValue(`--plot-${number}`);
  pen.lineWidth = 1.5;
  pen.beginPath();
  let last = null;
  for (const [time, value] of points) {
    if (value === null || time < now - SECONDS) { last = null; continue; }
    if (last === null || time - last > HOLD) pen.moveTo(x(time), y(value));
    else pen.lineTo(x(time), y(value));
    last = time;
  }
  pen.stroke();
}

// the emergency stop --------------------------------------------------------------------------

async function estop(engage) {
  const words = engage ? "stop" : "release";
  answer(`${words} sent, waiting for answers`);
  try {
    const headers = { "Content-Type": "application/json", "X-Horus-Key": meta("key") };
    const body = JSON.stringify({ engage });
    const reply = await fetch("/estop", { method: "POST", headers, body });
    if (!reply.ok) throw new Error(await reply.text());
    const found = await reply.json(), failed = found.filter(({ ok }) => !ok);
    const names = (some) => some.map(({ device }) => device).join(", ");
    const told = failed.map(({ device, text }) => `${device} (${text})`).join(", ");
    if (failed.length) answer(`${words} NOT CONFIRMED by ${told}`);
    else answer(engage && found.length ? `confirmed by ${names(found)}` : "");
  } catch (error) {
    answer(`${words} NOT SENT: ${error.message}`);
  }
}

function answer(text) {
  $("answer").hidden = !text;
  say($("answer"), text);
}

$("mode").textContent = control ? "" : "read-only";
$("stop").hidden = $("release").hidden = !control;
$("stop").onclick = () => estop(true);
$("release").onclick = () => $("confirm").showModal();
$("confirm").onclose = () => { if ($("confirm").returnValue === "release") estop(false); };
$("topic").onchange = fields;
$("all").onchange = connect;
$("choose").onsubmit = (event) => {
  event.preventDefault();
  const topic = $("topic").value, path = $("field").value;
  if (!topic || !$("field").options.length) return;
  wanted = wanted.filter((one) => one.topic !== topic || one.path !== path);
  wanted = [...wanted, { topic, path, unit: "", trouble: "", points: [] }].slice(-PLOTS);
  figures();
  connect();
};
addEventListener("resize", draw);
setInterval(silence, 1000, "");
connect();
