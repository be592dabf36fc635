// A tool call folded into one line; what went in and came out is written when somebody opens it.
import { asJson, resultText } from './content.js';
import { element, fromTemplate } from './dom.js';

const PREVIEW_CHARACTERS = 120;

export function toolView() {
  const node = fromTemplate('folded-template');
  const summary = node.querySelector('summary');
  const body = node.querySelector('.body');
  let item = null;
  let isOver = false;

  function fill() {
    if (!node.open) return;
    body.replaceChildren(element('h3', '', 'Input'), element('pre', '', asJson(item.input)));
    if (item.result) body.append(element('h3', '', item.result.isError ? 'Error' : 'Result'), element('pre', '', resultText(item.result.content)));
  }

  node.addEventListener('toggle', fill);
  return {
    node,
    update(newItem, run) {
      if (item === newItem && isOver === (run.status !== 'running')) return;
      item = newItem;
      isOver = run.status !== 'running';
      node.toggleAttribute('data-bad', Boolean(item.result?.isError));
      summary.replaceChildren(element('b', '', item.name ?? 'Tool'), ` ${progress(item, isOver)} `, element('code', '', preview(item.input)));
      fill();
    },
  };
}

function progress({ result }, isOver) {
  if (result) return result.isError ? 'failed' : 'done';
  return isOver ? 'without a result' : 'running…';
}

function preview(input) {
  const values = Object.values(input ?? {}).filter((value) => typeof value !== 'object');
  return values.join(' ').slice(0, PREVIEW_CHARACTERS).replace(/\s+/g, ' ');
}
