// Lists of cards that change only where an item does, so that the focus stays.

import { h } from './dom.js';

// cards makes a list. make(item) returns a card's node, and show(item), which brings it up to date.
export function cards(props, key, make) {
  const shown = new Map();
  const node = h('ul', props);
  const show = (items) => {
    const gone = new Set(shown.keys());
    items.forEach((item, i) => {
      const id = key(item);
      gone.delete(id);
      let card = shown.get(id);
      if (!card) {
        card = make(item);
        card.node.setAttribute('data-key', id);
        shown.set(id, card);
      }
      card.show(item);
      if (node.children[i] !== card.node) node.insertBefore(card.node, node.children[i] ?? null);
    });
    for (const id of gone) {
      shown.get(id).node.remove();
      shown.delete(id);
    }
  };
  return { node, show };
}
