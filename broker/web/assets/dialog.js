// Dialogs are the browser's own: they keep the focus, close at Escape, and return the focus
// to where it was.

import { button, freshID, h } from './dom.js';

// open shows a dialog until it is closed, which close does.
export function open(title, content, { wide } = {}) {
  const heading = h('h2', { id: freshID() }, title);
  const dialog = h('dialog', { class: wide ? 'wide' : undefined, 'aria-labelledby': heading.id }, heading, content);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close: () => dialog.close() };
}

// ask asks for confirmation before something that cannot be undone, and then does it. An
// error is shown in the dialog.
export function ask(title, text, yes, act) {
  const wrong = h('p', { class: 'wrong', role: 'alert', hidden: true });
  const { close } = open(title, h('div', null,
    h('p', null, text), wrong,
    h('div', { class: 'actions' },
      button('Cancel', { autofocus: true }, () => close()),
      button(yes, { class: 'danger' }, async () => {
        try {
          await act();
          close();
        } catch (problem) {
          wrong.textContent = problem.message;
          wrong.hidden = false;
        }
      }))));
}

// tell shows in a corner, and to screen readers, what was done, for as long as it takes to read.
export function tell(text) {
  const toast = document.getElementById('told');
  toast.textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => { toast.textContent = ''; }, 6000 + 50 * text.length);
}
