// The broker's documented API, see ../v1/docs.

// Problem is an answer that is not a success: a problem document, or no answer at all.
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `the broker answered ${status}`);
    this.status = status;
    this.code = document.code ?? '';
    this.errors = document.errors ?? [];
    // The steps of a launch that did not serve.
    this.attempts = document.attempts ?? [];
    this.requestID = document.request_id ?? '';
  }
}

// at returns the URL of a path of the broker, under whatever prefix its pages are served.
export const at = (path) => new URL('..' + path, import.meta.url);

// signedOut is dispatched on the window when the login is no longer valid.
export const signedOut = 'signed-out';

// call calls the API and returns the answer's body, undefined where it has none.
// seen, which may be left out, is given the response.
export async function call(method, path, body, headers = {}, seen = () => {}) {
  let response;
  try {
    response = await fetch(at(path), {
      method, cache: 'no-store', signal: AbortSignal.timeout(30000),
      headers: body === undefined ? headers : { 'Content-Type': 'application/json', ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { detail: 'the broker does not answer' });
  }
  if (response.ok) seen(response);
  if (response.ok) return response.status === 204 ? undefined : response.json();
  const problem = await problemOf(response);
  if (problem.status === 401 && path !== '/v1/login') window.dispatchEvent(new Event(signedOut));
  throw problem;
}

// problemOf returns the problem document of a response.
export async function problemOf(response) {
  let document = {};
  try {
    document = await response.json();
  } catch {
    // A proxy in between may have answered, without a problem document.
  }
  return new Problem(response.status, document);
}

// all returns every item of a list, page by page; filter has the list's parameters.
export async function all(path, filter = {}) {
  const items = [];
  let cursor = '';
  do {
    const page = await call('GET', `${path}?${new URLSearchParams({ limit: 1000, ...filter, ...(cursor && { cursor }) })}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

// changedFields are the fields in which two versions of a resource differ.
function changedFields(a, b) {
  const fields = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...fields].filter((f) => JSON.stringify(a[f]) !== JSON.stringify(b[f]));
}

// warnings returns the texts of an answer's warnings: what was accepted and may not be meant.
const warnings = (response) => [...(response.headers.get('Warning') ?? '').matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)]
  .map(([, text]) => text.replace(/\\(.)/g, '$1'));

// put stores a resource, and returns the warnings about it. opened holds the value that it was made from: where another one is
// stored meanwhile, nothing is stored, and opened holds that one, so that the next put replaces
// it. Without opened it must not exist yet. settings leaves of a stored one what is compared.
export async function put(kind, value, opened, settings = (stored) => stored) {
  const wrong = (message) => Object.assign(new Error(message), { errors: [{ field: 'name', message }] });
  if (!value.name) throw wrong('must not be empty');
  const path = `/v1/${kind}/${encodeURIComponent(value.name)}`;
  if (opened) {
    const now = settings(await call('GET', path));
    const fields = changedFields(opened.value, now);
    if (fields.length) {
      opened.value = now;
      throw new Problem(409, {
        code: 'changed_meanwhile',
        detail: `${value.name} was changed since this form was opened (${fields.join(', ')}), so nothing is saved. ` +
          'Cancel and open it again to see the change, or save again to replace it by what is here.',
      });
    }
  } else {
    const there = await call('GET', path).then(() => true, (problem) => {
      if (problem.status === 404) return false;
      throw problem;
    });
    if (there) throw wrong('is taken: close this, and edit that one');
  }
  let warned = [];
  await call('PUT', path, value, {}, (response) => { warned = warnings(response); });
  return warned;
}

// checked asks whether a resource would be accepted, and stores nothing. It throws what is
// wrong with it, as put does.
export async function checked(kind, value) {
  try {
    await call('POST', '/v1/resources/check', { [kind]: [value] });
  } catch (problem) {
    const prefix = `${kind}[0].`;
    problem.errors = (problem.errors ?? []).filter((e) => e.field.startsWith(prefix)).map((e) => ({ ...e, field: e.field.slice(prefix.length) }));
    throw problem;
  }
}
