// Zones, images and groups: lists, and a form for each.

import { all, call, checked, put } from './api.js';
import { badge, button, h, table } from './dom.js';
import { ask, tell } from './dialog.js';
import { edit } from './form.js';
import { hooks, labelList, labels, maxSessions, permissions, variables, volumes } from './shapes.js';

export const name = { name: 'name', label: 'Name', kind: 'text', required: true, standIn: 'name' };
const timeLimit = { name: 'session_time_limit', label: 'Session time limit', kind: 'duration', placeholder: '8h' };
const extension = { name: 'max_extension', label: 'Max extension', kind: 'duration', placeholder: '2h', hint: 'By how much users may extend the time limit of a session, in all.' };
const unhealthy = { name: 'unhealthy_expiration', label: 'Unhealthy expiration', kind: 'duration', placeholder: '30m', hint: 'Ends an assigned session whose checks have failed for so long.' };
const idle = { name: 'idle_expiration', label: 'Idle expiration', kind: 'duration', placeholder: '1h', hint: 'Ends an assigned session that is not used for so long, after a warning.' };
const unvisited = { name: 'unvisited_expiration', label: 'Unvisited expiration', kind: 'duration', placeholder: '10m', hint: 'Ends an assigned session that its user does not open within so long: by a gateway, authorize or a keepalive.' };
const waitForRoom = { name: 'wait_for_room', label: 'Wait for room', kind: 'duration', placeholder: '2m', hint: 'How long a session made on demand may wait, queued in Nomad, if no node can take it; 0s for not at all.' };
const patience = [
  ['start', 'Patience: start', '10m', 'How long a session may run until its checks pass.'],
  ['placement', 'Patience: placement', '30m', 'How long it may take from its placement until it runs; downloads are within it.'],
  ['unhealthy', 'Patience: unhealthy', '30s', 'How long an unused session whose checks stopped passing may take to recover.'],
].map(([name, label, placeholder, hint]) => ({ name: 'patience.' + name, label, kind: 'duration', placeholder, hint }));
const allowedGroups = { name: 'allowed_groups', label: 'Allowed groups', kind: 'words', hint: 'Only their users may have it; empty for all users.' };
const runConfig = { name: 'run_config', label: 'Run config', kind: 'json', hint: 'JSON, merged into the main task\'s driver config.' };
const webFilter = { name: 'web_filter_policy', label: 'Web filter policy', kind: 'text' };

export const list = (values) => (values?.length ? values.join(', ') : h('span', { class: 'faint' }, 'all'));
export const none = () => h('span', { class: 'faint' }, '–');

// resources makes the view of one kind of resource. load reads them for the list, and buttons
// returns those of a row beside Edit and Delete.
export function resources({ kind, word, title, empty, gone, columns, sections, blank, load = () => all(`/v1/${kind}`), buttons = () => [] }) {
  return (can) => {
    const view = { title, changed: () => {} };
    const form = (value, opened = value && { value }) => edit({
      title: value ? `${word[0].toUpperCase()}${word.slice(1)} ${value.name}` : `New ${word}`,
      value: value ?? blank,
      sections: sections.map((s) => ({ ...s, fields: s.fields.map((f) => (f === name ? { ...f, fixed: Boolean(value) } : f)) })),
      check: (changed) => checked(kind, changed),
      save: async (changed) => {
        const warned = await put(kind, changed, opened);
        tell([`The ${word} ${changed.name} is saved.`, ...warned.map((text) => `Warning: ${text}.`)].join(' '));
        view.changed();
      },
    });
    const shown = [{ label: 'Name', class: 'name', cell: (r) => r.name }, ...columns];
    if (can.edit) {
      shown.push({
        label: '', class: 'act', once: true,
        cell: (current) => h('div', { class: 'buttons' },
          buttons(current, () => view.changed()),
          button('Edit', { 'aria-label': `Edit ${current().name}` }, async () => form(await call('GET', `/v1/${kind}/${current().name}`))),
          button('Delete', { 'aria-label': `Delete ${current().name}` }, () => ask(`Delete the ${word} ${current().name}?`, gone, 'Delete', async () => {
            await call('DELETE', `/v1/${kind}/${current().name}`);
            tell(`The ${word} ${current().name} is deleted.`);
            view.changed();
          }))),
      });
    }
    const rows = table(title, shown, (r) => r.name, empty);
    view.node = h('div', null,
      h('div', { class: 'head' }, h('h1', null, title), can.edit && button(`New ${word}`, { class: 'primary' }, () => form())),
      rows.node);
    view.refresh = async () => rows.show(await load());
    return view;
  };
}

export const zonesView = resources({
  kind: 'zones', word: 'zone', title: 'Zones', empty: 'No zone yet: there is no place to run sessions.', gone: 'Its sessions stay.',
  blank: { name: '', datacenters: ['dc1'] },
  columns: [
    { label: 'Datacenters', cell: (z) => (z.peer ? `at peer ${z.peer}` : (z.datacenters ?? []).join(', ')) },
    { label: 'Node pool', cell: (z) => z.node_pool ?? none() },
    { label: 'Namespace', cell: (z) => z.namespace ?? none() },
    { label: 'Alternate zones', cell: (z) => (z.search_alternate_zones ? list(z.alternate_zones) : h('span', { class: 'faint' }, 'not searched')) },
    { label: 'Max sessions', class: 'number', cell: (z) => (z.max_sessions ? String(z.max_sessions) : none()) },
    { label: 'Allowed groups', cell: (z) => list(z.allowed_groups) },
    { label: 'Allowed origin', class: 'mono', cell: (z) => z.allow_origin_domain ?? none() },
    { label: 'Upstream auth', class: 'mono', cell: (z) => z.upstream_auth_address ?? none() },
  ],
  sections: [
    {
      fields: [
        name,
        { name: 'datacenters', label: 'Datacenters', kind: 'words', placeholder: 'dc1, dc2' },
        { name: 'allow_origin_domain', label: 'Allowed origin', kind: 'text', placeholder: 'desk.example.org', hint: 'The domain whose pages may open sessions. A zone without it cannot stage.' },
        { name: 'upstream_auth_address', label: 'Upstream auth address', kind: 'text', placeholder: 'greenroom.example.org:7480', hint: 'Where what stands before a session asks who may pass.' },
        maxSessions('Of all images in the zone, staged and assigned; empty for no limit.'),
        { name: 'search_alternate_zones', label: 'Search alternate zones', kind: 'no' },
        { name: 'alternate_zones', label: 'Alternate zones', kind: 'words', hint: 'In order; empty for all others, by name.' },
        allowedGroups,
      ],
    },
    {
      title: 'Placement',
      fields: [
        { name: 'region', label: 'Region', kind: 'text' }, { name: 'node_pool', label: 'Node pool', kind: 'text' }, { name: 'namespace', label: 'Namespace', kind: 'text' },
        { name: 'peer', label: 'Peer', kind: 'text', hint: 'The greenroom of another region that the zone is at, which has all else of it: leave out datacenters then.' },
        { name: 'peer_zone', label: 'Zone at the peer', kind: 'text', hint: 'Its name there; empty for the same name.' },
      ],
    },
  ],
});

export const imagesView = resources({
  kind: 'images', word: 'image', title: 'Images', empty: 'No image yet: there is nothing to run.', gone: 'Assigned sessions stay.',
  blank: { name: '', jobspec: '' },
  columns: [
    { label: 'Enabled', cell: (i) => (i.enabled === false ? badge('disabled', 'quiet') : badge('enabled', 'good')) },
    { label: 'Zones', cell: (i) => list(i.restrict_to_zones) },
    { label: 'Allowed groups', cell: (i) => list(i.allowed_groups) },
    { label: 'Labels', cell: (i) => labelList(i.labels) || none() },
    { label: 'Max sessions', class: 'number', cell: (i) => (i.max_sessions ? String(i.max_sessions) : none()) },
    { label: 'Hooks', cell: (i) => Object.keys(i.exec_config ?? {}).filter((k) => i.exec_config[k]).join(', ') || none() },
    { label: 'Time limit', cell: (i) => i.session_time_limit || none() },
    { label: 'Jobspec', class: 'number', cell: (i) => (i.jobspec === '(hidden)' ? i.jobspec : `${i.jobspec.split('\n').length} lines`) },
  ],
  sections: [
    { fields: [name, { name: 'enabled', label: 'Enabled', kind: 'yes', hint: 'No drains its pools and refuses launches; assigned sessions stay.' },
      { name: 'jobspec', label: 'Jobspec', kind: 'code', hint: 'A Nomad job in HCL with one group of count 1.' },
      variables] },
    { title: 'Hooks', fields: [hooks] },
    {
      title: 'More',
      fields: [
        { name: 'connect_url', label: 'Connect URL', kind: 'text', placeholder: 'https://desk.example.org/s/{session_id}/?token={token}' },
        { name: 'restrict_to_zones', label: 'Only in zones', kind: 'words' },
        allowedGroups, labels,
        maxSessions('Of the image in all zones, staged and assigned, such as a licence allows; empty for no limit.'),
        { name: 'max_sessions_per_user', label: 'Max sessions of a user', kind: 'number', placeholder: '1', standIn: 1, hint: 'Of the image, beside what the user\'s groups allow.' },
        timeLimit, idle, unvisited, unhealthy, waitForRoom, ...patience, webFilter,
        { name: 'persistent_profile_path', label: 'Persistent profile path', kind: 'text', placeholder: '/srv/profiles/{user_id}' },
        volumes('volume_mappings'),
        runConfig,
      ],
    },
  ],
});

export const groupsView = resources({
  kind: 'groups', word: 'group', title: 'Groups', empty: 'No group yet: all users are alike.', gone: 'Launches that name it are refused from then on.',
  blank: { name: '', priority: 10 },
  columns: [
    { label: 'Priority', class: 'number', cell: (g) => String(g.priority) },
    { label: 'Default', cell: (g) => (g.default ? badge('default', 'good') : none()) },
    { label: 'Sessions a user', class: 'number', cell: (g) => (g.max_sessions_per_user === undefined ? none() : String(g.max_sessions_per_user)) },
    { label: 'Time limit', cell: (g) => g.session_time_limit || none() },
    { label: 'Keepalive', cell: (g) => g.keepalive_expiration || none() },
    {
      label: 'Permissions', cell: (g) => {
        const set = permissions.fields.filter((f) => g.permissions?.[f.name] !== undefined);
        return set.length ? set.map((f) => `${g.permissions[f.name] ? '' : 'no '}${f.label.toLowerCase()}`).join(', ') : none();
      },
    },
  ],
  sections: [
    {
      fields: [
        name,
        { name: 'priority', label: 'Priority', kind: 'number', standIn: 1, hint: 'The lowest number wins.' },
        { name: 'default', label: 'Default group', kind: 'no', hint: 'The group of every user who has no other. At most one is.' },
        { name: 'max_sessions_per_user', label: 'Max sessions per user', kind: 'number', standIn: 1 },
        timeLimit, extension, idle, unvisited, unhealthy, waitForRoom,
        { name: 'keepalive_expiration', label: 'Keepalive expiration', kind: 'duration', placeholder: '5m' },
        { name: 'allowed_environment', label: 'Allowed environment', kind: 'words', placeholder: 'PYTHONPATH, GIT_*', hint: 'Variables that launches may set although loaders, shells or interpreters act on them.' },
      ],
    },
    { title: 'Permissions', fields: [permissions] },
    {
      title: 'Settings that only sessions on demand can have',
      fields: [
        { name: 'expose_user_environment_vars', label: 'Expose the user\'s environment', kind: 'no' },
        { name: 'inject_ssh_keys', label: 'Inject SSH keys', kind: 'no' },
        webFilter,
        volumes('volume_mapping'),
        runConfig,
      ],
    },
  ],
});
