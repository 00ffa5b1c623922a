// Upgrades every <form data-ruffinweb>, also one that is put into the page later: posts without leaving the page,
// shows faults at their fields, solves the captcha, and never posts the same form twice. Where this script does not
// run the form posts by itself, and nothing is lost but comfort. What can be set on a form is listed on /docs.
// Served is form.min.js, which "npm run shrink" makes of this, with the sentences of all languages.
(() => {
  // A module has no current script.
  const server = (document.currentScript ?? document.querySelector('script[src*="/form.js"]'))?.src;
  // The server puts them here: its own language, and the sentences of each language.
  const [usual, languages] = RUFFINWEB_LANGUAGES;
  const busy = new WeakSet();
  const fillings = new WeakMap();
  const marks = new Map();
  const isOurs = (form) => form?.hasAttribute('data-ruffinweb');
  let serial = 0;

  // Listening on the document rather than on each form: forms may come and go, and a page's own handler goes first.
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (event.defaultPrevented || !isOurs(form)) return;
    event.preventDefault();
    if (!busy.has(form)) void send(form, event.submitter);
  });

  // The browser's own checks, in its own language, but shown where the server's are shown.
  document.addEventListener(
    'invalid',
    (event) => {
      const { target: field } = event;
      const { form } = field;
      if (!isOurs(form)) return;
      event.preventDefault();
      mark(field, field.getAttribute('data-invalid') || field.validationMessage);
      if ([...form.elements].find((it) => it.willValidate && !it.validity.valid) !== field) return;
      say(form, 'invalid', text(form, 'correct', wordsFor(form).correct));
      field.focus();
    },
    true,
  );

  async function send(form, submitter) {
    const data = new FormData(form, submitter);
    const content = JSON.stringify([...data]);
    if (fillings.get(form)?.content !== content) fillings.set(form, { content, key: newKey() });
    // How long the page has been there tells people from programs; no part of what is sent, and so not of the key.
    data.set('_elapsed', Math.round(performance.now()));
    const language = languageOf(form);
    if (language && !data.has('_language')) data.set('_language', language);
    const buttons = [...form.elements].filter((it) => it.type === 'submit' && !it.disabled);
    const lock = (on) => {
      for (const it of buttons) it.disabled = on;
      busy[on ? 'add' : 'delete'](form);
    };

    lock(true);
    for (const field of [...marks.keys()]) if (field.form === form) unmark(field);
    say(form, 'sending', text(form, 'sending', wordsFor(form).sending));
    // An attribute, since a field called "action" would stand in front of the property.
    const action = submitter?.getAttribute('formaction') || form.getAttribute('action') || '';
    const answer = await deliver(form, action, data, fillings.get(form).key).catch(() => undefined);
    lock(false);

    if (answer?.ok) thank(form, answer, data);
    else explain(form, answer);
  }

  async function deliver(form, action, data, key) {
    let wantsProof = form.hasAttribute('data-captcha') && !data.get('altcha');
    let answer;
    // A second round where the server asks for a proof that this form did not know of, or one that came too late.
    for (let round = 0; round < 2; round++) {
      const proof = wantsProof && (await solve(form, action).catch(() => ''));
      if (answer && !proof) return answer;
      if (proof) data.set('altcha', proof);
      answer = await post(action, data, key).catch(async () => {
        // Lost on the way there or back, nobody knows. With the same key the server takes it once at most.
        await new Promise((resolve) => setTimeout(resolve, 1500));
        return post(action, data, key);
      });
      wantsProof = /^captcha-/.test(answer.code);
      if (!wantsProof) break;
    }
    return answer;
  }

  async function post(action, data, key) {
    const body = bodyOf(data);
    const headers = { Accept: 'application/json', 'Idempotency-Key': key };
    if (body !== data) headers['Content-Type'] = 'application/json';
    const url = new URL(action, document.baseURI);
    const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout?.(30000) });
    // What a proxy says while the server behind it restarts.
    if (response.status === 502 || response.status === 504) throw response;
    const { ok, status } = response;
    const told = await response.text();
    const answer = { status, wait: +response.headers.get('Retry-After') };
    try {
      Object.assign(answer, JSON.parse(told));
    } catch {}
    // Any host has a page with 200 for what it does not know: only our own JSON says that the message is stored.
    return Object.assign(answer, { ok: ok && !!(answer.receipt || answer.next || answer.message_sender) });
  }

  function bodyOf(data) {
    const fields = Object.create(null);
    for (const [name, value] of data) {
      // A chosen file goes along, so that the server can say that it takes none.
      if (value.size) return data;
      if (typeof value === 'string') fields[name] = name in fields ? [fields[name], value].flat() : value;
    }
    return JSON.stringify(fields);
  }

  function thank(form, answer, data) {
    fillings.delete(form);
    HTMLFormElement.prototype.reset.call(form);
    const { receipt = '' } = answer;
    const { sent, reference } = wordsFor(form);
    const thanks = receipt ? `${sent} ${reference}` : sent;
    say(form, 'sent', text(form, 'success', thanks).replace('{receipt}', receipt)).focus();
    if (!tell(form, 'sent', answer)) return;
    const next = form.getAttribute('data-redirect');
    const wanted = data.get('_next') || data.get('_redirect');
    if (!next && !wanted) return;
    // As the server reads it for a browser without script: a relative one stands under the server's address.
    const url = next ? new URL(next, document.baseURI) : new URL(wanted, server ?? document.baseURI);
    if (receipt) url.searchParams.set('receipt', receipt);
    if (/^https?:/.test(url)) location.assign(url);
  }

  function explain(form, answer) {
    const lines = [];
    // All in the language that the server answers in, which need not be that of the page.
    const { language: answered, text: told } = answer?.visitor ?? {};
    const words = wordsFor(form, answered);
    let first;
    for (const { field: name, code, message, label = name } of answer?.errors ?? []) {
      let field = form.elements.namedItem(name);
      if (field instanceof RadioNodeList) field = field[0];
      if (field?.willValidate) {
        mark(field, text(field, code) || text(form, code, words.fault.replace('{message}', message)));
        first ??= field;
      } else if (name) lines.push(words.other.replace('{message}', message).replace('{label}', () => label));
      else lines.push(/[.!?…]$/.test(message) ? message : `${message}.`);
    }
    if (first) lines.unshift(text(form, 'correct', words.correct));
    if (!answer) {
      lines.push(text(form, 'lost', words.lost));
    } else if ([409, 429, 503].includes(answer.status)) {
      const time = answer.wait > 0 ? duration(words.language, answer.wait) : '';
      const later = text(form, 'later', time ? words.later : words.soon);
      lines.splice(0, lines.length, later.replace('{time}', time));
    } else if (!lines[0]) {
      lines.push(text(form, 'failed', told ?? answer.detail ?? words.failed));
    }
    const status = say(form, first ? 'invalid' : 'failed', lines.join(' '));
    (first ?? status).focus();
    tell(form, 'refused', answer);
  }

  // The nearest one, such as de-AT.
  function languageOf(form) {
    return form.closest('[lang]')?.getAttribute('lang');
  }

  function wordsFor(form, tag = languageOf(form)) {
    const name = tag?.toLowerCase().split(/[-_]/)[0];
    return languages[Object.hasOwn(languages, name) ? name : usual];
  }

  function duration(language, seconds) {
    const [count, unit] = seconds > 90 ? [Math.ceil(seconds / 60), 'minute'] : [Math.ceil(seconds), 'second'];
    return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count);
  }

  function mark(field, message) {
    unmark(field);
    const note = document.createElement('div');
    note.id = `ruffinweb-fault-${++serial}`;
    note.className = 'ruffinweb-fault';
    note.textContent = message;
    (field.closest('label') ?? field).after(note);
    const described = field.getAttribute('aria-describedby');
    field.setAttribute('aria-invalid', 'true');
    field.setAttribute('aria-describedby', described ? `${described} ${note.id}` : note.id);
    marks.set(field, { note, described });
    field.addEventListener('input', () => unmark(field), { once: true });
  }

  function unmark(field) {
    const { note, described } = marks.get(field) ?? {};
    if (!note) return;
    marks.delete(field);
    note.remove();
    field.removeAttribute('aria-invalid');
    if (described) field.setAttribute('aria-describedby', described);
    else field.removeAttribute('aria-describedby');
  }

  function say(form, state, words) {
    form.setAttribute('data-ruffinweb', state);
    const status = statusOf(form);
    status.textContent = words;
    return status;
  }

  function statusOf(form) {
    let status = form.querySelector('[data-ruffinweb-status]');
    if (!status) {
      status = document.createElement('p');
      status.setAttribute('data-ruffinweb-status', '');
      form.append(status);
    }
    status.setAttribute('role', 'status');
    status.setAttribute('aria-live', 'polite');
    status.tabIndex = -1;
    return status;
  }

  function text(element, name, otherwise) {
    return element.getAttribute(`data-${name}`) || otherwise;
  }

  function tell(form, what, detail) {
    return form.dispatchEvent(new CustomEvent(`ruffinweb:${what}`, { bubbles: true, cancelable: true, detail }));
  }

  function newKey() {
    // randomUUID is only there in a secure context.
    return crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
  }

  // Proof of work in the format of ALTCHA 2: find the counter whose derived key begins as asked. WebCrypto works
  // beside the page's own thread, a few at a time, so that the page stays alive.
  async function solve(form, action) {
    const url = new URL(form.getAttribute('data-captcha') || 'api/captcha', server);
    const slug = /\/(?:api\/forms\/([\w-]+)\/messages|f\/([\w-]+))\/?$/.exec(action);
    if (slug) url.searchParams.set('form', slug[1] ?? slug[2]);
    const { parameters, signature } = await (await fetch(url)).json();
    const { algorithm, nonce, salt, cost, keyLength = 32, keyPrefix } = parameters;
    const hash = algorithm.replace('PBKDF2/', '');
    const startedAt = Date.now();
    const derive = async (counter) => {
      const password = [...bytes(nonce), ...new Uint8Array(new Uint32Array([counter]).buffer).reverse()];
      if (hash === algorithm) {
        let digest = new Uint8Array([...bytes(salt), ...password]);
        for (let i = 0; i < cost; i++) digest = await crypto.subtle.digest(hash, digest);
        return hex(digest.slice(0, keyLength));
      }
      const key = await crypto.subtle.importKey('raw', new Uint8Array(password), 'PBKDF2', false, ['deriveBits']);
      const recipe = { name: 'PBKDF2', hash, iterations: cost, salt: bytes(salt) };
      return hex(await crypto.subtle.deriveBits(recipe, key, keyLength * 8));
    };
    for (let start = 0; Date.now() - startedAt < 90000; start += 8) {
      const keys = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((it) => derive(start + it)));
      const found = keys.findIndex((it) => it.startsWith(keyPrefix));
      if (found < 0) continue;
      const solution = { counter: start + found, derivedKey: keys[found], time: Date.now() - startedAt };
      return btoa(JSON.stringify({ challenge: { parameters, signature }, solution }));
    }
  }

  function bytes(text) {
    return Uint8Array.from(text.match(/../g), (it) => Number.parseInt(it, 16));
  }

  function hex(buffer) {
    return Array.from(new Uint8Array(buffer), (it) => it.toString(16).padStart(2, '0')).join('');
  }
})();
