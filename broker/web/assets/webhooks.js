// Webhooks: their list with how far each is, the form, and the dead letters.

import { all, call } from './api.js';
import { ago, badge, button, count, h, table, when } from './dom.js';
import { open, tell } from './dialog.js';
import { list, name, none, resources } from './resources.js';
import { sessionLink } from './session_parts.js';

const pathOf = (w) => `/v1/webhooks/${encodeURIComponent(w.name)}`;

// state is how a webhook's receiver does.
function state({ deliveries: d }) {
  if (d.failing_since) return badge('failing', 'bad', `${d.error}, since ${d.failing_since}`);
  return d.pending ? badge('delivering', 'wait') : badge('delivered', 'good');
}

const behind = ({ deliveries: d }) => (d.oldest_at ? h('time', { datetime: d.oldest_at, title: d.oldest_at }, ago(d.oldest_at).split(' ')[0]) : none());

async function replay(w, ids) {
  const { replayed } = await call('POST', pathOf(w) + '/replay', ids ? { ids } : {});
  tell(`${count(replayed, 'dead letter')} of ${w.name} will be sent again.`);
}

// showDeadLetters lists the newest page of what was given up, and sends it again.
async function showDeadLetters(w, changed) {
  const { items, next_cursor: more } = await call('GET', pathOf(w) + '/dead-letters?limit=200');
  const rows = table('Dead letters', [
    { label: 'Type', cell: (d) => badge(d.event.type.replace('_', ' '), 'quiet') },
    { label: 'Session', cell: (d) => (d.event.session ? sessionLink(d.event.session) : none()) },
    { label: 'Happened', cell: (d) => when(d.event.at) },
    { label: 'Tries', class: 'number', cell: (d) => String(d.tries) },
    { label: 'Error', cell: (d) => d.error },
  ], (d) => d.id, 'None: every message was delivered, or is still tried.');
  rows.show(items);
  const { close } = open(`Dead letters of ${w.name}`, h('div', null,
    more ? h('p', { class: 'hint' }, 'These are the oldest 200.') : null, rows.node,
    h('div', { class: 'actions' },
      button('Close', { autofocus: true }, () => close()),
      items.length > 0 && button('Send all again', { class: 'primary' }, async () => {
        await replay(w);
        close();
        changed();
      }))), { wide: true });
}

// test sends a message of type test, and says whether the receiver took it.
async function test(w) {
  const { delivered, error } = await call('POST', pathOf(w) + '/test');
  tell(delivered ? `The receiver of ${w.name} took the test message.` : `The test message of ${w.name} was not delivered: ${error}.`);
}

export const webhooksView = resources({
  kind: 'webhooks', word: 'webhook', title: 'Webhooks', empty: 'No webhook yet: events are sent nowhere.', gone: 'What is pending is not sent any more, and its dead letters are gone.',
  blank: { name: '', url: '', secret: '' },
  load: async () => Promise.all((await all('/v1/webhooks')).map(async (w) => ({ ...w, deliveries: await call('GET', pathOf(w) + '/deliveries') }))),
  columns: [
    { label: 'URL', class: 'mono', cell: (w) => w.url },
    { label: 'Events', cell: (w) => list(w.events) },
    { label: 'State', cell: state },
    { label: 'Pending', class: 'number', cell: (w) => String(w.deliveries.pending) },
    { label: 'Behind', cell: behind },
    { label: 'Gaps', class: 'number', cell: (w) => (w.deliveries.gaps ? badge(String(w.deliveries.gaps), 'bad', `the last at ${w.deliveries.gap_at}: events may be missing`) : none()) },
    { label: 'Dead letters', class: 'number', cell: (w) => (w.deliveries.dead_letters ? badge(String(w.deliveries.dead_letters), 'bad') : none()) },
  ],
  buttons: (current, changed) => [
    button('Dead letters', { 'aria-label': `Dead letters of ${current().name}` }, () => showDeadLetters(current(), changed)),
    button('Test', { 'aria-label': `Test ${current().name}` }, () => test(current())),
  ],
  sections: [
    {
      fields: [
        name,
        { name: 'url', label: 'URL', kind: 'text', required: true, placeholder: 'https://billing.example.org/greenroom', standIn: 'https://receiver.invalid/' },
        { name: 'secret', label: 'Secret', kind: 'text', required: true, placeholder: 'whsec_…', hint: 'whsec_ and the base64 of 24 to 64 random bytes. It signs messages, and is never shown again.', standIn: 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' },
        { name: 'events', label: 'Events', kind: 'words', placeholder: 'assigned, ended', hint: 'Types of events; empty for all.' },
      ],
    },
    {
      title: 'Only events of',
      fields: [
        { name: 'zones', label: 'Zones', kind: 'words' }, { name: 'images', label: 'Images', kind: 'words' },
        { name: 'staging', label: 'Staging configs', kind: 'words', hint: 'Leaves out sessions on demand.' },
      ],
    },
    {
      title: 'More',
      fields: [
        { name: 'give_up_after', label: 'Give up after', kind: 'duration', placeholder: '24h', hint: 'How long a message is tried before it becomes a dead letter.' },
        { name: 'ca_cert', label: 'CA certificates', kind: 'verbatim', hint: 'In PEM, beside those of the system.' },
      ],
    },
  ],
});
