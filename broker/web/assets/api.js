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

// at returns the URL of a path of the API, under whatever prefix the page is served.
export const at = (path) => new URL('..' + path, document.baseURI.split('#')[0]);

// signedOut is dispatched on the window when the login is no longer valid.
export const signedOut = 'signed-out';

// call calls the API and returns the answer's body, undefined where it has none.
export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(at(path), {
      method, cache: 'no-store', signal: AbortSignal.timeout(30000),
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { detail: 'the broker does not answer' });
  }
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

// all returns every item of a list, page by page.
export async function all(path) {
  const items = [];
  let cursor = '';
  do {
    const page = await call('GET', `${path}?limit=1000${cursor && '&cursor=' + encodeURIComponent(cursor)}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

// put stores a resource; a fresh one must not exist yet.
export async function put(kind, value, fresh) {
  const wrong = (message) => Object.assign(new Error(message), { errors: [{ field: 'name', message }] });
  if (!value.name) throw wrong('must not be empty');
  const path = `/v1/${kind}/${encodeURIComponent(value.name)}`;
  if (fresh) {
    const there = await call('GET', path).then(() => true, (problem) => {
      if (problem.status === 404) return false;
      throw problem;
    });
    if (there) throw wrong('is taken: close this, and edit that one');
  }
  return call('PUT', path, value);
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
