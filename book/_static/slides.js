// Any chapter as slides: each section of the page is one slide, live figures included. Nothing is fetched, nothing exported.
// "Slides" at the top of a chapter starts; arrows or Page Up and Down move; Escape ends. ?slides=3 opens at the third.
"use strict";
(() => {
  const top = document.querySelector("article section:has(> h1)");
  if (!top) return;
  const slides = [[...top.children].filter((e) => e.tagName !== "SECTION"),
    ...[...top.children].filter((e) => e.tagName === "SECTION").map((e) => [e])];
  if (slides.length < 3) return;
  const root = document.documentElement;
  let at = 0, bar = null;

  const show = (to) => {
    at = Math.min(Math.max(to, 0), slides.length - 1);
    slides.forEach((parts, i) => parts.forEach((part) => part.classList.toggle("ndl-off", i !== at)));
    bar.querySelector("output").textContent = `${at + 1} of ${slides.length}`;
    address(at + 1);
    window.scrollTo(0, 0);
  };
  const address = (number) => {
    const url = new URL(location.href);
    if (number) url.searchParams.set("slides", number); else url.searchParams.delete("slides");
    try { history.replaceState(null, "", url); } catch { /* some browsers forbid it for files; the slides work all the same */ }
  };
  const begin = (number) => {
    if (bar) return;
    root.classList.add("ndl-slides");
    bar = document.createElement("nav");
    bar.className = "ndl-slidebar";
    bar.setAttribute("aria-label", "Slides");
    bar.innerHTML = `<button type="button">Back</button><output aria-live="polite"></output><button type="button">Next</button>
      <button type="button">End</button>`;
    const [back, next, end] = bar.querySelectorAll("button");
    back.onclick = () => show(at - 1);
    next.onclick = () => show(at + 1);
    end.onclick = finish;
    document.body.append(bar);
    document.addEventListener("keydown", key);
    show((Number(number) || 1) - 1);
  };
  const finish = () => {
    document.removeEventListener("keydown", key);
    root.classList.remove("ndl-slides");
    bar.remove();
    bar = null;
    slides.flat().forEach((part) => part.classList.remove("ndl-off"));
    address(0);
    slides[at][0]?.scrollIntoView();
    start.focus({ preventScroll: true });
  };
  const key = (event) => {
    // Sliders, lists and fields keep their own keys.
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest?.("input, select, textarea, [contenteditable]") && event.key !== "Escape") return;
    if (event.key === "Escape") finish();
    else if (event.key === "ArrowRight" || event.key === "PageDown") show(at + 1);
    else if (event.key === "ArrowLeft" || event.key === "PageUp") show(at - 1);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(slides.length - 1);
    else return;
    event.preventDefault();
  };
  const start = document.createElement("button");
  start.type = "button";
  start.className = "ndl-present";
  start.textContent = "Slides";
  start.title = "Show this chapter as slides";
  start.onclick = () => begin(1);
  top.querySelector("h1").after(start);
  slides[0].push(start);
  const wanted = new URLSearchParams(location.search).get("slides");
  if (wanted !== null) begin(wanted);
})();
