// What the users' page keeps in the browser: nothing that opens anything.

// kept stands in where the browser stores nothing for this page.
const kept = new Map();

// remember stores a value under a name until it is forgotten.
export function remember(name, value) {
  kept.set(name, value);
  try {
    localStorage.setItem('greenroom.' + name, JSON.stringify(value));
  } catch {
    // It is remembered for as long as this page is open.
  }
}

// recall returns what is stored under a name; undefined for nothing.
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem('greenroom.' + name)) ?? kept.get(name);
  } catch {
    return kept.get(name);
  }
}

export function forget(name) {
  kept.delete(name);
  try {
    localStorage.removeItem('greenroom.' + name);
  } catch {
    // Nothing was stored.
  }
}

// nonce returns a text that nobody can guess.
export const nonce = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
