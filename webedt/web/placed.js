// Keeps a container's children in step with a list by their places: one view {node, update} a place.
// A view stays for as long as what stands in its place is of the same kind, so that what is selected in it stays selected.

export function placedChildren(container, kindOf, createView) {
  const views = [];
  // `from`: the place of the first of `items`; what stands before it is not touched. Only the last one can be open.
  return function update(items, isOpen = false, from = 0) {
    items.forEach((item, i) => {
      const kind = kindOf(item);
      const old = views[from + i];
      if (old?.kind !== kind) {
        const view = createView(item);
        if (old) old.view.node.replaceWith(view.node);
        else container.append(view.node);
        views[from + i] = { kind, view };
      }
      views[from + i].view.update(item, isOpen && i === items.length - 1);
    });
    for (const { view } of views.splice(from + items.length)) view.node.remove();
  };
}
