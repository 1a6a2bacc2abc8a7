"use strict";

const LISTED = 10;
const WAIT_MS = 150;
const at = (id) => document.getElementById(id);
const picks = new Map();
let asked = 0;
let found = [];
let active = -1;

/** A reply as an object; an Error with the server's own words if it refuses. */
async function call(path, body) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options).catch(() => {
    throw new Error("The server does not answer. Is it still running?");
  });
  const reply = await response.json();
  if (!response.ok) throw new Error([reply.error.message, reply.error.hint].filter(Boolean).join(" "));
  return reply;
}

/** An element with a class and text; text is never read as HTML. */
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const nameOf = (item) => item.title ?? `Item ${item.item_id}`;
const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

/** A title that shows similar items when pressed. */
function titleButton(item) {
  const button = make("button", "title", nameOf(item));
  button.type = "button";
  button.title = "Show similar items";
  button.addEventListener("click", () => showSimilar(item));
  return button;
}

function ranked(item) {
  const row = make("li");
  const name = make("div");
  const why = make("div", "why");
  name.append(titleButton(item));
  if (item.title !== undefined) name.append(make("span", "id", `id ${item.item_id}`));
  const score = make("span", "score");
  score.append(make("span", "hidden", "score "), item.score.toPrecision(4));
  why.append(make("span", "source", item.source), score);
  row.append(make("span", "rank", `${item.rank}.`), name, why);
  return row;
}

function liked(item) {
  const row = make("li");
  row.append(titleButton(item));
  return row;
}

async function recommend() {
  const mine = ++asked;
  const user = at("user").value.trim();
  const isUser = mode() === "user";
  if (isUser && !user) {
    at("results").hidden = at("history").hidden = at("similar").hidden = true;
    return;
  }
  say("Looking …");
  const body = isUser ? { user_id: user, k: LISTED } : { history: [...picks.keys()], k: LISTED };
  try {
    const reply = await call("/v1/recommend", body);
    const past = isUser && reply.user_known ? await call(`/v1/history?user_id=${encodeURIComponent(user)}`) : null;
    if (mine !== asked) return;
    at("similar").hidden = true;
    showList(reply, isUser ? user : null);
    showHistory(past);
    location.replace(isUser ? `#user=${encodeURIComponent(user)}` : "#new");
  } catch (error) {
    if (mine === asked) say(error.message, true);
  }
}

function showList(reply, user) {
  const newcomer = picks.size ? "Recommended for what you picked" : "Recommended to someone new";
  at("results-title").textContent = user === null ? newcomer : `Recommended for user ${user}`;
  at("notes").replaceChildren(...reply.notes.map((note) => make("li", "", note)));
  at("list").replaceChildren(...reply.items.map(ranked));
  const sources = new Set(reply.items.map((item) => item.source));
  at("list-foot").textContent = reply.items.length
    ? `Press a title for similar items. Scores compare within one source only (${[...sources].join(", ")}).`
    : "Nothing to recommend.";
  at("results").hidden = false;
  say(`${count(reply.items.length, "item")} found.`);
}

function showHistory(past) {
  at("history").hidden = past === null;
  if (past === null) return;
  at("history-list").replaceChildren(...past.items.map(liked));
  at("history-foot").textContent =
    past.total > past.items.length ? `The newest ${past.items.length} of ${count(past.total, "item")}.` : "";
}

async function showSimilar(item) {
  try {
    const reply = await call("/v1/similar", { item_id: item.item_id, k: LISTED });
    at("similar-title").textContent = `Similar to ${nameOf(item)}`;
    at("similar-list").replaceChildren(...reply.items.map(ranked));
    at("similar").hidden = false;
    say(reply.items.length ? `${count(reply.items.length, "similar item")} found.` : reply.notes.join(" "));
    at("similar-title").focus({ preventScroll: true });
    at("similar-title").scrollIntoView({ block: "nearest" });
  } catch (error) {
    say(error.message, true);
  }
}

const mode = () => document.querySelector('input[name="mode"]:checked').value;

function switchMode() {
  const isUser = mode() === "user";
  at("user-part").hidden = !isUser;
  at("new-part").hidden = isUser;
  say("");
  recommend();
}

function showPicks() {
  at("picks").replaceChildren(
    ...[...picks.values()].map((item) => {
      const row = make("li");
      const button = make("button", "", `${nameOf(item)} ✕`);
      button.type = "button";
      button.setAttribute("aria-label", `Remove ${nameOf(item)}`);
      button.addEventListener("click", () => unpick(item.item_id));
      row.append(button);
      return row;
    }),
  );
}

function pick(item) {
  picks.set(item.item_id, item);
  at("search").value = "";
  closeOptions();
  showPicks();
  recommend();
}

function unpick(id) {
  picks.delete(id);
  showPicks();
  at("search").focus();
  recommend();
}

function closeOptions() {
  found = [];
  choose(-1);
  at("options").hidden = true;
  at("search").setAttribute("aria-expanded", "false");
}

function choose(index) {
  active = index;
  [...at("options").children].forEach((row, place) => row.setAttribute("aria-selected", String(place === index)));
  if (index < 0) at("search").removeAttribute("aria-activedescendant");
  else {
    at("search").setAttribute("aria-activedescendant", `option-${index}`);
    at("options").children[index].scrollIntoView({ block: "nearest" });
  }
}

function option(item, index) {
  const row = make("li", "", nameOf(item));
  row.id = `option-${index}`;
  row.setAttribute("role", "option");
  row.addEventListener("mousedown", (event) => {
    event.preventDefault();
    pick(item);
  });
  return row;
}

async function search() {
  const text = at("search").value.trim();
  if (!text) return closeOptions();
  try {
    const reply = await call(`/v1/items?search=${encodeURIComponent(text)}`);
    if (text !== at("search").value.trim()) return;
    found = reply.items.filter((item) => !picks.has(item.item_id));
    at("options").replaceChildren(...found.map(option));
    at("options").hidden = found.length === 0;
    at("search").setAttribute("aria-expanded", String(found.length > 0));
    choose(found.length ? 0 : -1);
    say(found.length ? `${count(found.length, "item")} to pick from.` : `No item with “${text}”.`);
  } catch (error) {
    say(error.message, true);
  }
}

function onSearchKey(event) {
  if (event.key === "Enter") {
    event.preventDefault();
    if (active >= 0) pick(found[active]);
  } else if (event.key === "Escape") {
    closeOptions();
  } else if (event.key === "Backspace" && !at("search").value && picks.size) {
    unpick([...picks.keys()].at(-1));
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && found.length) {
    event.preventDefault();
    choose((active + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
  }
}

async function start() {
  let timer = 0;
  at("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    recommend();
  });
  document.querySelectorAll('input[name="mode"]').forEach((radio) => radio.addEventListener("change", switchMode));
  at("search").addEventListener("keydown", onSearchKey);
  at("search").addEventListener("blur", closeOptions);
  at("search").addEventListener("input", () => {
    clearTimeout(timer);
    choose(-1); // what stands there answers an older text: Enter must not pick it
    timer = setTimeout(search, WAIT_MS);
  });
  try {
    const bundle = await call("/v1/bundle");
    const { users, items, events } = bundle.data;
    at("size").textContent = `${count(users, "user")} · ${count(items, "item")} · ${count(events, "event")}`;
    at("version").textContent = `Bundle ${bundle.version}, made ${bundle.created.slice(0, 10)}.`;
    const linked = new URLSearchParams(location.hash.slice(1));
    at("user").value = linked.get("user") ?? bundle.example_user_id ?? "";
    if (linked.has("new")) document.querySelector('input[value="new"]').checked = true;
    switchMode();
  } catch (error) {
    say(error.message, true);
  }
}

start();
