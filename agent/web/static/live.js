// Renews the page of something that is still going on. Only what changed is touched, so that focus, selection, scroll
// and what the reader folded stay as they are. A server that is away is asked again until it is back.
"use strict";

const every = 2000; // milliseconds between an answer and the next question
const patience = 10000; // milliseconds that an answer may take

async function renew() {
  const answer = await fetch(location.href, { signal: AbortSignal.timeout(patience) });
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = document.querySelector("main");
  const next = page.querySelector("main");
  const held = [...main.querySelectorAll(".lines")].filter(scrolledUp).map((lines) => [lines, lines.scrollHeight]);
  become(main, next);
  for (const [lines, height] of held) lines.scrollTop -= lines.scrollHeight - height;
  if (document.title !== page.title) document.title = page.title;
}

// become makes a node like another one, which may be used up by it.
function become(node, like) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.data !== like.data) node.data = like.data;
    return;
  }
  if (node.nodeName === "NOSCRIPT" || node.matches("form:has(select, input:not([type=hidden]))")) return; // what is filled in is the reader's
  for (const { name } of [...node.attributes]) if (!like.hasAttribute(name) && name !== "open") node.removeAttribute(name);
  for (const { name, value } of like.attributes) if (node.getAttribute(name) !== value && name !== "open") node.setAttribute(name, value);
  const wanted = new Set([...like.children].map((child) => child.id).filter(Boolean));
  let at = node.firstChild;
  for (const child of [...like.childNodes]) {
    while (at && at.id && at.id !== child.id && !wanted.has(at.id)) at = drop(at);
    if (at && same(at, child)) {
      become(at, child);
      at = at.nextSibling;
    } else {
      node.insertBefore(document.adoptNode(child), at);
    }
  }
  while (at) at = drop(at);
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

const same = (a, b) => a.nodeName === b.nodeName && (a.id ?? "") === (b.id ?? "");
const scrolledUp = (lines) => lines.scrollTop < -4; // 0 is the end: style.css turns logs around

async function watch() {
  const stale = document.querySelector(".stale");
  while (document.querySelector("main[data-live]")) {
    await new Promise((done) => setTimeout(done, every));
    if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    stale.hidden = await renew().then(() => true, () => false);
  }
}

watch();
