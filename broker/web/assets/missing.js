// What an address shows that leads to nothing: it says so, with a link to where to go on.

import { h } from './dom.js';

// missing says that something is not there, with a link to a view.
export const missing = (text, href, label) => h('div', { class: 'missing' }, h('p', null, text), h('p', null, h('a', { href }, label)));

// missingView is the view at an address that there is not. home is the view to go on with.
export function missingView(address, home, label) {
  return {
    title: 'Not found', refresh: async () => {},
    node: h('div', null,
      h('div', { class: 'head' }, h('h1', null, 'Not found')),
      missing(`This page has nothing at ${address}, or your role does not see it.`, '#/' + home, `Go to ${label}`)),
  };
}
