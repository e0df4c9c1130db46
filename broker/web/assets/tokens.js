// The API's tokens: who may do what with them, and when each was used last. A secret is shown
// once, when it is made.

import { call } from './api.js';
import { ago, badge, button, h, table } from './dom.js';
import { ask, open, tell } from './dialog.js';
import { edit } from './form.js';

const roles = [
  ['viewer', 'viewer: reads'], ['launcher', 'launcher: launches and ends sessions, and reads'], ['admin', 'admin: changes everything'],
];
const kinds = { admin: 'bad', launcher: 'mine', viewer: 'quiet' };

const none = (word) => h('span', { class: 'faint' }, word);

// reach describes a token's scope.
function reach(scope) {
  const parts = [
    ...['images', 'zones', 'groups'].filter((kind) => scope?.[kind]?.length).map((kind) => `${kind} ${scope[kind].join(', ')}`),
    scope?.user_prefix && `users ${scope.user_prefix}…`,
  ].filter(Boolean);
  return parts.length ? parts.join('; ') : none('everything');
}

const past = (time, never) => (time ? h('time', { datetime: time, title: time }, ago(time).split(' ')[0] + ' ago') : none(never));

function expires(t) {
  if (!t.expires_at) return none('never');
  const left = Date.parse(t.expires_at) - Date.now();
  if (left <= 0) return badge('expired', 'quiet');
  return h('time', { datetime: t.expires_at, title: t.expires_at }, 'in ' + ago(new Date(2 * Date.now() - Date.parse(t.expires_at)).toISOString()).split(' ')[0]);
}

// showSecret shows a new token's secret, which the broker does not have any more.
function showSecret(made) {
  const secret = h('input', { id: 'secret', class: 'mono', readonly: true, value: made.secret, 'aria-label': 'Secret', onfocus: () => secret.select() });
  const said = h('p', { class: 'hint', role: 'status' });
  const { close } = open(`The secret of ${made.name}`, h('div', null,
    h('p', null, 'Keep it now: it is not stored, and nobody can show it again.'),
    h('div', { class: 'secret' }, secret,
      button('Copy', {}, async () => {
        secret.select();
        try {
          await navigator.clipboard.writeText(made.secret);
          said.textContent = 'Copied.';
        } catch {
          // Browsers let pages write to the clipboard over https alone. The text is selected.
          said.textContent = document.execCommand('copy') ? 'Copied.' : 'It cannot be copied from here: press Ctrl+C.';
        }
      })),
    said,
    h('div', { class: 'actions' }, button('Done', { class: 'primary' }, () => close()))), { wide: true });
  secret.focus();
}

const create = (then) => edit({
  title: 'New token',
  submit: 'Create',
  value: { name: '', role: 'viewer' },
  sections: [
    {
      fields: [
        { name: 'name', label: 'Name', kind: 'text', placeholder: 'portal', hint: 'What or whom it is for.' },
        { name: 'role', label: 'Role', kind: 'select', options: roles },
        { name: 'expires_in', label: 'Expires in', kind: 'text', placeholder: '720h', hint: 'Empty for as long as the broker allows.' },
        { name: 'rate', label: 'Launches a second', kind: 'number', hint: 'That each broker takes from it; empty for no bound.' },
      ],
    },
    {
      title: 'Scope',
      fields: [
        { name: 'scope.images', label: 'Only images', kind: 'words' }, { name: 'scope.zones', label: 'Only zones', kind: 'words' },
        { name: 'scope.groups', label: 'Only groups', kind: 'words' }, { name: 'scope.user_prefix', label: 'Only users whose id begins with', kind: 'text' },
      ],
    },
  ],
  save: async (asked) => {
    const made = await call('POST', '/v1/tokens', { name: '', ...asked });
    // Once the form is closed.
    setTimeout(() => showSecret(made));
    then();
  },
});

const revoke = (t, then) => ask('Revoke this token?', `${t.name} (${t.accessor}). Whoever uses it is refused at once, and logins with it end. Sessions stay.`, 'Revoke', async () => {
  await call('DELETE', '/v1/tokens/' + encodeURIComponent(t.accessor));
  tell(`The token ${t.name} is revoked.`);
  then();
});

// tokensView lists the tokens that the caller may see, for administrators.
export function tokensView() {
  const view = { title: 'Tokens', changed: () => {} };
  const rows = table('Tokens', [
    { label: 'Name', class: 'name', cell: (t) => t.name },
    { label: 'Accessor', class: 'mono', cell: (t) => t.accessor },
    { label: 'Role', cell: (t) => badge(t.role, kinds[t.role] ?? 'quiet') },
    { label: 'Reaches', cell: (t) => reach(t.scope) },
    { label: 'Made', cell: (t) => past(t.created_at, '–') },
    { label: 'Last used', cell: (t) => past(t.last_used, 'never') },
    { label: 'Expires', cell: expires },
    {
      label: '', class: 'act', once: true,
      cell: (current) => button('Revoke', { 'aria-label': `Revoke ${current().name}` }, () => revoke(current(), () => view.changed())),
    },
  ], (t) => t.accessor, 'No token yet.');
  view.node = h('div', null,
    h('div', { class: 'head' }, h('h1', null, 'Tokens'), button('New token', { class: 'primary' }, () => create(() => view.changed()))),
    rows.node);
  view.refresh = async () => rows.show((await call('GET', '/v1/tokens')).items);
  return view;
}
