// What anywidget calls: one view of the widget, with the kernel behind it.

export default {
  render({ model, el }) {
    const spec = { ...model.get("spec") };
    const now = model.get("values");
    spec.knobs = spec.knobs.map((k) => ({ ...k }));
    const widget = mount(el, spec, [() => kernelEngine(model)], { start: now.knobs ? now : null, first: firstFrame(model) });
    el.ndlWidget = widget;      // as in a page: {frame, values}, for tests
    return () => widget.destroy();
  },
};
