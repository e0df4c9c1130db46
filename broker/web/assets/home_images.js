// The images that the user may launch.

import { badge, fill, h } from './dom.js';
import { isReady, launchAt } from './home_calls.js';
import { cards } from './home_cards.js';
import { askAnother } from './home_key.js';
import { tile } from './home_tile.js';

// imageCards makes the list of images. An item has the offer, and whether the user has a session
// of it.
export function imageCards() {
  return cards({ class: 'cards offers', 'aria-label': 'Images' }, (item) => item.offer.image, (first) => {
    const image = first.offer.image;
    let current = first;
    const facts = h('p', { class: 'facts' });
    const zone = h('select', { 'aria-label': `Zone of ${image}`, onchange: () => show(current) });
    const launch = h('a', {
      class: 'button', target: '_blank', rel: 'noopener',
      // A session beside the one that the user has is for this page alone to ask for.
      onclick: () => { launch.href = launchAt(image, zone.value) + (current.has ? askAnother() : ''); },
    });
    const show = (item) => {
      current = item;
      const zones = item.offer.zones.map((z) => z.zone);
      const chosen = zones.includes(zone.value) ? zone.value : '';
      fill(zone, h('option', { value: '' }, 'any zone'), zones.map((name) => h('option', { value: name }, name)));
      zone.value = chosen;
      zone.hidden = zones.length < 2;
      fill(facts, isReady(item.offer, chosen) ? badge('ready at once', 'good') : badge('takes a moment to start', 'quiet'));
      launch.href = launchAt(image, chosen);
      launch.classList.toggle('primary', !item.has);
      const words = item.has ? 'Launch another' : 'Launch';
      if (launch.textContent === words) return;
      launch.textContent = words;
      launch.setAttribute('aria-label', `${words} ${image}, in a new tab`);
    };
    const node = h('li', { class: 'card' },
      tile(image),
      h('div', { class: 'about' }, h('h3', null, image), facts),
      h('div', { class: 'buttons' }, zone, launch));
    return { node, show };
  });
}
