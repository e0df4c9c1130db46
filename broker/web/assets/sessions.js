// The sessions that have not ended, with their users and addresses, and those that have, with why.

import { all, call } from './api.js';
import { ago, badge, button, fill, h, table } from './dom.js';
import { ask, open, tell } from './dialog.js';

const pageSize = 50;

const kinds = {
  pending: 'wait', starting: 'wait', ready: 'good', claimed: 'mine', assigned: 'mine', quarantined: 'bad', retiring: 'quiet', ending: 'quiet', ended: 'quiet',
};
const states = [
  ['', 'any'], ['pending,starting,ready', 'unassigned'], ['ready', 'ready'], ['pending,starting', 'coming up'],
  ['claimed,assigned', 'with a user'], ['assigned', 'assigned'], ['quarantined', 'quarantined'], ['retiring,ending', 'on their way out'], ['ended', 'ended within the hour'],
];
const origins = [['', 'any'], ['staged', 'staged'], ['on_demand', 'on demand']];

const user = (s) => (s.user
  ? h('span', { title: s.user.id }, s.user.name || s.user.id)
  : h('span', { class: 'faint' }, 'nobody'));

// health shows whether a session is healthy, and since when.
function health(s) {
  if (s.healthy === undefined) return h('span', { class: 'faint' }, '–');
  return h('span', { title: 'since ' + s.healthy_since }, s.healthy ? 'yes' : badge('no', 'bad'));
}

function end(id, s, then) {
  const theirs = s.user ? `${s.user.name || s.user.id} loses it at once.` : 'Nobody has it; its pool makes another.';
  ask('End this session?', `${id} of image ${s.image} in zone ${s.zone}. ${theirs}`, 'End session', async () => {
    await call('DELETE', '/v1/sessions/' + id);
    tell(`Session ${id} is being ended.`);
    then();
  });
}

// details shows all fields of a session.
async function details(id) {
  let s;
  try {
    s = await call('GET', '/v1/sessions/' + id);
  } catch (problem) {
    tell(problem.message);
    return;
  }
  const ports = Object.entries(s.ports ?? {}).map(([label, port]) => `${label} ${port}`).join(', ');
  const terms = Object.entries(s.terms ?? {}).map(([name, v]) => `${name.replaceAll('_', ' ')} ${v}`).join(', ');
  const rows = [
    ['State', badge(s.state, kinds[s.state])], ['Reason', s.reason],
    ['Healthy', s.healthy !== undefined && `${s.healthy ? 'yes' : 'no'}, since ${s.healthy_since}`], ['Not up since its restart', s.restarted_at], ['After its restart', s.restart_failure], ['User', s.user && `${s.user.name ?? ''} (${s.user.id})`], ['Groups', s.groups?.join(', ')],
    ['Origin', s.origin.replace('_', ' ')], ['Zone', s.zone], ['Image', s.image], ['Staging config', s.staging], ['Revision', s.revision],
    ['Address', s.address], ['Ports', ports], ['Nomad allocation', s.alloc_id], ['Nomad node', s.node_id],
    ['Created', s.created_at], ['Ready', s.ready_at], ['Assigned', s.assigned_at], ['Expires', s.expires_at], ['Ends', s.ends_at],
    ['Keepalive until', s.keepalive_until], ['Ended', s.ended_at], ['Terms', terms],
  ];
  const { close } = open(s.id, h('div', null,
    h('dl', null, rows.filter(([, v]) => v).map(([name, v]) => [h('dt', null, name), h('dd', null, v)])),
    h('div', { class: 'actions' }, button('Close', {}, () => close()))), { wide: true });
}

// sessionLink opens a session's details.
export const sessionLink = (id) => h('button', { type: 'button', class: 'link mono', 'data-session': id }, id);

// opensDetails makes a view's session links work, also those of rows that are added later.
export function opensDetails(node) {
  node.addEventListener('click', (e) => {
    const id = e.target.closest('[data-session]')?.dataset.session;
    if (id) details(id);
  });
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
    { label: 'State', cell: (s) => badge(s.state, kinds[s.state]) },
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
      cell: (current) => button('End', { 'aria-label': `End ${current().id}` }, () => end(current().id, current(), () => view.changed())),
    });
  }
  const rows = table('Sessions', columns, (s) => s.id, 'No session is like this.');
  const pages = h('nav', { class: 'pages', 'aria-label': 'Pages' });
  const filtered = ['state', 'zone', 'image', 'staging', 'user', 'origin', 'revision'].some((name) => params.get(name));
  view.node = h('div', null,
    h('div', { class: 'head' }, h('h1', null, 'Sessions')),
    h('div', { class: 'filters', role: 'search' },
      choice('state', 'State', states).node, can.follow && [zone.node, image.node, staging.node, word('user', 'User id'), word('revision', 'Revision')],
      choice('origin', 'Origin', origins).node,
      filtered && h('a', { class: 'clear', href: '#/sessions' }, 'Clear')),
    rows.node, pages);
  opensDetails(view.node);
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
