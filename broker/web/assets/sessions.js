// The sessions that have not ended, with their users and addresses, and those that have, with why.

import { all, call } from './api.js';
import { ago, badge, button, fill, h, table } from './dom.js';
import { launch } from './launch.js';
import { end, sessionLink, stateOf } from './session_parts.js';

const pageSize = 50;

const states = [
  ['', 'any'], ['pending,starting,ready', 'unassigned'], ['ready', 'ready'], ['pending,starting', 'coming up'],
  ['claimed,assigned', 'with a user'], ['assigned', 'assigned'], ['quarantined', 'quarantined'], ['retiring,ending', 'on their way out'], ['ended', 'ended within the hour'],
];
const origins = [['', 'any'], ['staged', 'staged'], ['on_demand', 'on demand']];

const user = (s) => (s.user
  ? [h('span', { title: s.user.id }, s.user.name || s.user.id), s.unvisited_ends_at ? h('small', { class: 'faint' }, ' not opened yet') : null]
  : h('span', { class: 'faint' }, 'nobody'));

// health shows whether a session is healthy, and since when.
function health(s) {
  if (s.healthy === undefined) return h('span', { class: 'faint' }, '–');
  return h('span', { title: 'since ' + s.healthy_since }, s.healthy ? 'yes' : badge('no', 'bad'));
}

export function sessionsView(can, params) {
  const view = { title: 'Sessions', changed: () => {} };
  const go = (changes) => {
    const next = new URLSearchParams(params);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    location.hash = '#/sessions' + (next.size ? '?' + next : '');
  };
  const choice = (name, label, options) => {
    const select = h('select', { id: 'filter-' + name, onchange: (e) => go({ [name]: e.target.value, cursor: '' }) });
    const show = (options) => {
      const chosen = params.get(name) ?? '';
      if (!options.some(([value]) => value === chosen)) options = [...options, [chosen, chosen]];
      fill(select, options.map(([value, text]) => h('option', { value }, text)));
      select.value = chosen;
    };
    show(options);
    return { node: h('label', { class: 'filter' }, h('span', null, label), select), show };
  };
  const word = (name, label) => h('label', { class: 'filter' }, h('span', null, label), h('input', {
    id: 'filter-' + name, type: 'search', value: params.get(name) ?? '', placeholder: 'any', onchange: (e) => go({ [name]: e.target.value.trim(), cursor: '' }),
  }));
  const anything = [['', 'any']];
  const zone = choice('zone', 'Zone', anything), image = choice('image', 'Image', anything), staging = choice('staging', 'Staging', anything);
  const over = params.get('state') === 'ended';
  const columns = [
    { label: 'Session', cell: (s) => sessionLink(s.id) },
    { label: 'State', cell: stateOf },
    !over && { label: 'Healthy', cell: health },
    { label: 'User', cell: user },
    { label: 'Zone', cell: (s) => s.zone },
    { label: 'Image', cell: (s) => s.image },
    { label: 'Origin', cell: (s) => s.origin.replace('_', ' ') },
    over ? { label: 'Ended', class: 'number', cell: (s) => h('span', { title: s.ended_at }, ago(s.ended_at)) }
      : { label: 'Age', class: 'number', cell: (s) => h('span', { title: s.created_at }, ago(s.created_at)) },
    { label: 'Node', class: 'mono', cell: (s) => (s.node_id ? h('span', { title: s.node_id }, s.node_id.slice(0, 8)) : '–') },
    over ? { label: 'Reason', cell: (s) => s.reason ?? '–' } : { label: 'Address', class: 'mono', cell: (s) => s.address ?? '–' },
  ].filter(Boolean);
  if (can.end && !over) {
    columns.push({
      label: '', class: 'act', once: true,
      cell: (current) => button('End', { 'aria-label': `End ${current().id}` }, () => end(current(), () => view.changed())),
    });
  }
  const rows = table('Sessions', columns, (s) => s.id, 'No session is like this.');
  const pages = h('nav', { class: 'pages', 'aria-label': 'Pages' });
  const filtered = ['state', 'zone', 'image', 'staging', 'user', 'origin', 'revision'].some((name) => params.get(name));
  view.node = h('div', null,
    h('div', { class: 'head' }, h('h1', null, 'Sessions'), can.edit && button('Launch', { class: 'primary' }, launch)),
    h('div', { class: 'filters', role: 'search' },
      choice('state', 'State', states).node, can.follow && [zone.node, image.node, staging.node, word('user', 'User id'), word('revision', 'Revision')],
      choice('origin', 'Origin', origins).node,
      filtered && h('a', { class: 'clear', href: '#/sessions' }, 'Clear')),
    rows.node, pages);
  let named = !can.follow;
  view.refresh = async () => {
    if (!named) {
      named = true;
      const [zones, images, configs] = await Promise.all([all('/v1/zones'), all('/v1/images'), all('/v1/staging')]);
      for (const [filter, items] of [[zone, zones], [image, images], [staging, configs]]) {
        filter.show([...anything, ...items.map((i) => [i.name, i.name])]);
      }
    }
    const query = new URLSearchParams(params);
    query.set('limit', pageSize);
    const page = await call('GET', '/v1/sessions?' + query);
    rows.show(page.items);
    const next = new URLSearchParams(params);
    if (page.next_cursor) next.set('cursor', page.next_cursor);
    const first = new URLSearchParams(params);
    first.delete('cursor');
    fill(pages,
      params.get('cursor') ? h('a', { href: '#/sessions?' + first }, 'First page') : null,
      h('span', { class: 'faint' }, `${page.items.length} shown, ${over ? 'the last to end first' : 'oldest first'}`),
      page.next_cursor ? h('a', { href: '#/sessions?' + next }, 'Next page') : null);
  };
  return view;
}
