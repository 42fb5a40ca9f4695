"use strict";
// Every text of an answer is set as text, never as HTML.
const ROWS = 8; // labels that are shown with their probability
const $ = (id) => document.getElementById(id);

function made(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function card(kind, ...children) {
  const node = made("div", undefined, kind ? `card ${kind}` : "card");
  node.append(...children);
  return node;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function bars(probabilities, chosen) {
  const ranked = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const grid = made("div", undefined, "bars");
  for (const [name, share] of ranked.slice(0, ROWS)) {
    const bar = made("meter", undefined, chosen.includes(name) ? "best" : "");
    bar.value = share;
    bar.setAttribute("aria-label", name);
    grid.append(made("span", name, "name"), bar, made("span", percent(share), "muted"));
  }
  const rest = ranked.length - ROWS;
  if (rest > 0) grid.append(made("span", `and ${rest} more`, "muted"), made("span"), made("span"));
  return grid;
}

// Offsets count characters as Python does, so astral signs are one.
function marked(text, spans) {
  const letters = Array.from(text), line = made("div", undefined, "text");
  let at = 0;
  for (const span of spans) {
    const mark = made("mark", letters.slice(span.start, span.end).join(""));
    if (span.type) mark.append(made("small", span.type));
    line.append(letters.slice(at, span.start).join(""), mark);
    at = span.end;
  }
  line.append(letters.slice(at).join(""));
  return line;
}

function shown(answer, cells) {
  const label = answer.label;
  if (answer.probabilities) {
    const names = [].concat(label);
    return card("", made("div", names.join(", ") || "no label", "label"), bars(answer.probabilities, names));
  }
  if (answer.tags) {
    const entities = label.length && typeof label[0] === "object";
    if (entities) return card("", marked(cells.text, label));
    const line = label.length ? label.join(" ") : "nothing found";
    return card("", made("div", line, "text"));
  }
  if ("best" in answer) {
    const text = label === "" ? "no answer in this text" : label;
    const told = label === "" ? [] : [marked(cells.pair, [answer])];
    return card("", made("div", text, "label"), made("p", percent(answer.probability), "muted"), ...told);
  }
  return card("", made("div", typeof label === "number" ? label.toLocaleString("en", { maximumFractionDigits: 3 }) : JSON.stringify(label), "label"));
}

function problems(list) {
  return list.map((each) => card("bad", made("div", each.found ? `${each.what}; found ${each.found}` : each.what), made("div", each.fix, "muted")));
}

async function ask(roles) {
  const cells = Object.fromEntries(roles.map((role) => [role, $(role).value]));
  const button = document.querySelector("button");
  button.disabled = true;
  try {
    const found = await told(cells);
    $("answer").replaceChildren(...(found.answers ? [shown(found.answers[0], cells)] : problems(found.problems)));
  } finally {
    button.disabled = false;
  }
}

async function told(cells) {
  const body = JSON.stringify({ inputs: [cells] });
  try {
    return await (await fetch("/predict", { method: "POST", headers: { "Content-Type": "application/json" }, body })).json();
  } catch (error) {
    return { problems: [{ what: "the server does not answer", found: String(error), fix: "Is `attune serve` still running?" }] };
  }
}

async function begin() {
  const info = await (await fetch("/info")).json();
  document.title = `${info.run} - attune`;
  $("run").textContent = info.run;
  $("task").textContent = `Ask the ${info.task} model`;
  const rows = info.train_rows ? `Learned from ${info.train_rows.toLocaleString("en")} rows. ` : "";
  const test = info.test;
  const figure = (value) => value.toFixed(test.high > 1 ? 1 : 3); // some metrics count in hundredths
  const score = test ? `On ${test.n.toLocaleString("en")} test rows: ${info.metric_name} ${figure(test.value)} [${figure(test.low)}, ${figure(test.high)}].` : "";
  $("measured").textContent = rows + score + (info.rounding ? ` It answers in ${info.rounding}.` : "");
  const roles = Object.keys(info.reads);
  for (const role of roles) {
    const label = made("label", info.reads[role]), field = made("textarea");
    label.htmlFor = field.id = role;
    $("fields").append(label, field);
  }
  const example = JSON.stringify({ inputs: [Object.fromEntries(roles.map((role) => [role, "..."]))] });
  $("example").textContent = `curl ${location.origin}/predict -H 'Content-Type: application/json' \\\n  -d '${example}'`;
  $("form").addEventListener("submit", (event) => { event.preventDefault(); ask(roles); });
  $("form").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(roles); } });
  $(roles[0]).focus();
}

begin();
