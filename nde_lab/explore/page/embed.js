// Widgets in a page without a kernel: find their places, wait until one is about to be seen, start it.
//
//   <div class="ndl-embed">
//     <figure class="ndl-paper"> <img alt=".."> <figcaption>..</figcaption> </figure>     still: print, no script, trouble
//     <script type="application/json" class="ndl-spec"> {spec of widget.js, with page and/or stored} </script>
//   </div>
//
// Once started, the element carries its widget as `ndlWidget` ({frame, values, destroy}; tests look at it).

const ENGINES = { page: (spec) => pageEngine(spec, WORKER_SOURCE), stored: storedEngine };

/** Start the widget of one place now. Trouble becomes a sentence under the still, which stays. */
export function start(place) {
  if (place.dataset.ndlState) return;
  place.dataset.ndlState = "started";
  const paper = place.querySelector(".ndl-paper");
  try {
    const spec = JSON.parse(place.querySelector(".ndl-spec").textContent);
    spec.still = paper.querySelector("img").src;
    place.ndlWidget = globalThis.ndl.mount(place, spec, spec.engines.map((name) => () => ENGINES[name](spec)), { link: true });
    paper.classList.add("ndl-paper-only");
  } catch (error) {
    place.dataset.ndlState = "failed";
    const note = document.createElement("p");
    note.className = "ndl-sorry";
    note.setAttribute("role", "status");
    note.textContent = `This figure cannot come alive in this browser (${error.message}); the picture above is its first setting.`;
    paper.after(note);
  }
}

/** All places below `root`: each starts when it is less than half a screen away, or when the address names it. */
export function findAll(root) {
  const wanted = new URLSearchParams(location.hash.slice(1)).get("ndl");
  const places = [...root.querySelectorAll(".ndl-embed:not([data-ndl-state])")];
  const linked = places.find((place) => wanted && place.dataset.name === wanted);
  if (linked) { start(linked); linked.scrollIntoView({ block: "center" }); }
  if (typeof IntersectionObserver === "undefined") { places.forEach(start); return; }
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); start(entry.target); }
  }, { rootMargin: "50% 0px" });
  for (const place of places) near.observe(place);
}
