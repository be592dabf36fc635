// A tool call folded into one line; what went in and came out is written when somebody opens it.
import { clippedView } from './clipped-view.js';
import { element, fromTemplate, setText } from './dom.js';
import { whenOpened } from './folded.js';
import { inputSections, mainArgument, outputText, toolState } from './tool-words.js';

export function toolView() {
  const node = fromTemplate('tool-template');
  const body = node.querySelector('.body');
  const fill = whenOpened(node, write);
  let item = null;
  let isOver = false;

  function write({ input, result }) {
    body.replaceChildren();
    for (const [title, text] of inputSections(input)) section(title, text);
    if (result) section(result.isError ? 'Error' : 'Output', outputText(result.content) || '(nothing)');
  }
  function section(title, text) {
    const view = clippedView('pre');
    view.update(text);
    body.append(element('h3', '', title), view.node);
  }

  return {
    node,
    update(newItem, run) {
      if (item === newItem && isOver === (run.status !== 'running')) return;
      const isNew = item !== newItem;
      item = newItem;
      isOver = run.status !== 'running';
      node.toggleAttribute('data-bad', Boolean(item.result?.isError));
      node.toggleAttribute('data-busy', !item.result && !isOver);
      setText(node.querySelector('.name'), item.name || 'Tool');
      setText(node.querySelector('.argument'), mainArgument(item.input));
      setText(node.querySelector('.state'), toolState(item, isOver));
      if (isNew) fill(item);
    },
  };
}
