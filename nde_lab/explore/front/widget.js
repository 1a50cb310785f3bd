// The glue between a view, its controls and an engine. One code for the live notebook and the rendered book.
//
// THE ENGINE INTERFACE. Whatever stands behind a widget (kernel, page, stored) is an object
//
//   engine = {
//     name,                        "kernel" | "page" | "stored"
//     sentence(knobs),             who speaks, in words: "live: trained now by the kernel", "live: trained now in this
//                                  page", "stored run at width = 32, lr = 0.003"
//     snap(knobs),                 optional: the nearest knobs that this engine can serve; the controls move there
//     start({gen, knobs, seed, paused}),   a new run; the frame of step 0 comes first, at once; with `paused` only that
//                                  one comes. Whatever ran before is cancelled.
//     set({gen, live}),            move live knobs {name: value} in the running (or paused) run; no restart
//     pause(), resume(),
//     stepOnce(),                  when paused: go on to the next recorded point (plan.every steps), stay paused
//     stop(),                      end for good: free workers and timers (the widget has left the page)
//     ack(n),                      frame number n has been painted (only frames that carry an `n` are acknowledged)
//     onframe,                     set by the widget: function (frame)
//     onfail,                      set by the widget: function ({gen, sentence, fatal}); the run ended with an error,
//                                  said in a sentence for the reader. fatal: this engine cannot work here at all, and
//                                  the widget turns to the next one of its list.
//     onadopt,                     set by the widget: function ({knobs, seed}); someone else moved the knobs
//   }
//   frame = {
//     gen, step, steps, seed, knobs, n,
//     status: {kind, sentence},    kind: "running" | "finished" | "stopped" | "diverged"
//     history: {name: Float32Array},                          all points so far, "step" among the names
//     arrays: {name: {shape: [...], data: Float32Array}},     what `observe` gave, row-major
//   }
//   `gen` is the number that `start` was given: frames of another generation are dropped here, so an engine may be late.
//   Exception: gen = null marks a run that someone else started (python's widget.set); it is always shown.
//
// THE SPEC, as JSON:
//   { title, name, predict, after, alt, view: View.to_dict(), seed, autoplay,
//     knobs: [{name, label, kind: "range" | "choice" | "toggle", low, high, scale, choices, default, unit, help,
//              live: bool, integer: bool}],
//     controls: [names], plan: {steps, every}, engines: [names], still: data-URI or null }
//
// mount(el, spec, engines, {link}) puts a widget into `el`; `engines` is a list of functions (spec) -> engine, the first
// one preferred; `link: true` restores knobs and seed from the address and offers a link. It returns {destroy, frame}.
