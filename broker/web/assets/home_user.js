// Who the user of a launch is: who is logged in as a user, or else a name that is asked for once
// and kept in the browser.

import { h } from './dom.js';
import { forget, recall, remember } from './home_store.js';

// At most so many characters, so that a user's id has no more bytes than the API takes.
const longest = 60;

// userOf returns for whom the page launches: id and name as the API takes them, both absent for a
// user's own login, and groups where the login acts for users of some groups alone. It returns
// undefined if the name is not known yet.
export function userOf(self) {
  if (self.role === 'user') return { own: true, name: self.name };
  if (self.who.startsWith('user:')) return { id: self.who.slice('user:'.length), name: self.name };
  const name = recall('name');
  if (typeof name !== 'string' || !name) return undefined;
  const prefix = self.scope?.user_prefix ?? '';
  return { id: name.startsWith(prefix) ? name : prefix + name, name, asked: true, groups: self.scope?.groups };
}

// asCaller returns the fields of a launch that say for whom it is.
export const asCaller = (user) => ({ ...(user.id && { user: { id: user.id, name: user.name } }), ...(user.groups && { groups: user.groups }) });

// forgetName has the page ask for a name again.
export const forgetName = () => forget('name');

// nameView asks for the user's name, and calls then.
export function nameView(self, then) {
  const name = h('input', { id: 'name', autocomplete: 'name', maxlength: longest, 'aria-describedby': 'name-why name-wrong' });
  const wrong = h('p', { class: 'wrong', id: 'name-wrong', role: 'alert', hidden: true }, 'Enter a name.');
  const node = h('div', { class: 'ask' },
    h('h1', null, 'Who are you?'),
    h('form', {
      novalidate: true,
      onsubmit: (e) => {
        e.preventDefault();
        const given = name.value.trim();
        wrong.hidden = Boolean(given);
        if (!given) {
          name.setAttribute('aria-invalid', 'true');
          name.focus();
          return;
        }
        remember('name', given);
        then();
      },
    },
    h('label', { for: 'name' }, 'Your name'), name, wrong,
    h('p', { class: 'hint', id: 'name-why' }, self.guarded
      ? 'Your token is no user’s own, so it does not say whose the sessions are. This browser keeps the name.'
      : 'Nobody has to log in here. The name says whose the sessions are, and this browser keeps it.'),
    h('button', { type: 'submit', class: 'primary' }, 'Continue')));
  return { title: 'Your name', node, start: () => name.focus() };
}
