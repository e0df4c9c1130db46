// The steps from a launch to the session, as a list that is read out as it moves on.

import { fill, h } from './dom.js';

const steps = [
  ['Placing', 'A ready session is taken, or room is found for a new one.'],
  ['Starting', 'Its program starts.'],
  ['Healthy', 'Its own checks pass.'],
  ['Yours', 'It opens in this tab.'],
];

// The steps by their number.
export const placing = 0, starting = 1, healthy = 2, yours = 3;

// stepList makes the list. at(step, note) moves on to a step, with a remark on it. failed() marks
// the step that it is at as the one that failed, done() all of them as done.
export function stepList() {
  const told = h('p', { class: 'unseen', role: 'status' });
  const items = steps.map(([name, words]) => {
    const note = h('p', { class: 'note' });
    const node = h('li', null, h('span', { class: 'mark', 'aria-hidden': 'true' }), h('div', null, h('strong', null, name), h('p', null, words), note));
    return { node, note, name };
  });
  const list = h('ol', { class: 'steps' }, items.map((i) => i.node));
  let current = -1;
  const mark = (how) => items.forEach((item, i) => {
    item.node.className = i < current ? 'done' : i === current ? how : '';
    item.node.toggleAttribute('aria-current', i === current);
    if (i === current) item.node.setAttribute('aria-current', 'step');
  });
  return {
    node: h('div', null, list, told),
    at: (step, note) => {
      if (step !== current) {
        current = step;
        mark('now');
        told.textContent = `Step ${step + 1} of ${steps.length}: ${items[step].name}. ${steps[step][1]}`;
      }
      if (note !== undefined) fill(items[step].note, note);
    },
    failed: () => mark('failed'),
    done: () => {
      current = steps.length;
      mark('');
    },
  };
}
