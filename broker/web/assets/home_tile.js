// The picture of an image: its first letter, in a colour of its own.

import { h } from './dom.js';

// As many as home.css has.
const colours = 8;

// tile makes the picture of an image. It says nothing that the name beside it does not.
export function tile(image) {
  let sum = 7;
  for (const c of image) sum = (sum * 33 + c.codePointAt(0)) % 65521;
  return h('span', { class: `tile tile-${sum % colours}`, 'aria-hidden': 'true' }, [...image][0].toUpperCase());
}
