// Renews the page of something that is still going on, every two seconds, without moving the reader.
"use strict";

const every = 2000;

async function renew() {
  const main = document.querySelector("main[data-live]");
  if (!main || document.hidden || main.contains(document.activeElement) && document.activeElement.matches("input, select")) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.querySelector("main");
  if (!next || next.innerHTML === main.innerHTML) return;
  const closed = [...main.querySelectorAll("details:not([open])")].map(place);
  const atEnd = [...main.querySelectorAll(".log pre")].filter((pre) => pre.scrollTop + pre.clientHeight < pre.scrollHeight - 4);
  const scrolled = new Map(atEnd.map((pre) => [place(pre), pre.scrollTop]));
  main.replaceChildren(...next.childNodes);
  document.title = page.title;
  if (!next.hasAttribute("data-live")) main.removeAttribute("data-live");
  for (const details of main.querySelectorAll("details")) if (closed.includes(place(details))) details.open = false;
  for (const pre of main.querySelectorAll(".log pre")) pre.scrollTop = scrolled.get(place(pre)) ?? pre.scrollHeight;
}

// place names an element by its task and what it is, also after the page was renewed.
function place(element) {
  const section = element.closest("section");
  return [section?.id, element.tagName, element.querySelector("summary")?.textContent].join(" ");
}

for (const pre of document.querySelectorAll(".log pre")) pre.scrollTop = pre.scrollHeight;
setInterval(() => renew().catch(() => {}), every); // a server that is away comes back, or the reader sees an old page
