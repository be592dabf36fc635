// Keeps a container's children in step with a list: one view {node, update} a key.
// A view is left alone while its item is the same object, unless the context (what stands around it) has changed.

export function keyedChildren(container, keyOf, createView) {
  let views = new Map();
  function update(items, context, contextChanged) {
    const next = new Map();
    let here = container.firstChild;
    for (const item of items) {
      const key = keyOf(item);
      const view = views.get(key) ?? createView(item);
      if (view.shown !== item || contextChanged) view.update(item, context);
      view.shown = item;
      next.set(key, view);
      if (view.node === here) here = here.nextSibling;
      else container.insertBefore(view.node, here);
    }
    for (const [key, view] of views) if (!next.has(key)) view.node.remove();
    views = next;
  }
  update.viewOf = (key) => views.get(key) ?? null;
  return update;
}
