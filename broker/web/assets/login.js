// Logging in: the token is sent once; from then on a cookie that scripts cannot read replaces it.

import { call } from './api.js';
import { h } from './dom.js';

// loginView asks for a token, and calls then once the broker accepts it.
export function loginView(then) {
  const token = h('input', { id: 'token', type: 'password', autocomplete: 'current-password', spellcheck: 'false', 'aria-describedby': 'token-wrong' });
  const wrong = h('p', { class: 'wrong', id: 'token-wrong', role: 'alert', hidden: true });
  const send = h('button', { type: 'submit', class: 'primary' }, 'Log in');
  return h('main', { class: 'alone' },
    h('img', { src: 'icon.svg', alt: '', width: 40, height: 40 }),
    h('h1', null, 'greenroom'),
    h('form', {
      novalidate: true,
      onsubmit: async (e) => {
        e.preventDefault();
        send.disabled = true;
        try {
          await call('POST', '/v1/login', { token: token.value.trim() });
          token.value = '';
          await then();
        } catch (problem) {
          wrong.textContent = problem.errors[0]?.message ?? problem.message;
          wrong.hidden = false;
          token.setAttribute('aria-invalid', 'true');
          token.focus();
        } finally {
          send.disabled = false;
        }
      },
    },
    h('label', { for: 'token' }, 'Token'), token, wrong, send,
    h('p', { class: 'hint' }, 'An administrator makes one: greenroom token create. The login lasts 12 hours.')));
}
