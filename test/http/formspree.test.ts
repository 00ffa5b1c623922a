import { createClient, isSubmissionError, type SubmissionError, type SubmissionSuccess } from '@formspree/core';
import { expect } from 'chai';
import { browserAccept, type Client, submission } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere } from '../support/server-here.ts';

describe("Formspree's own client (@formspree/core) with only its endpoint changed", () => {
  let api: Api;
  let db: TestDatabase;
  let server: ServerHere;
  let http: Client;
  const client = createClient();
  const tellOwner = 'Nothing was sent. Please tell the site’s owner another way.';

  before(async () => {
    api = await openApi({ PUBLIC_URL: 'https://forms.example.test', ALLOWED_ORIGINS: 'https://site.example.test' });
    ({ db, server, http } = api);
    await db.query(`insert into forms (id, slug, closed_at) values (gen_random_uuid(), 'closed', now())`);
    await db.query(`insert into forms (id, slug, required_fields) values (gen_random_uuid(), 'strict', '{message}')`);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  // biome-ignore lint/suspicious/noExplicitAny: the client's types leave out what an HTML form may hold
  const submit = (slug: string, data: any) => client.submitForm(slug, data, { endpoint: server.url });

  async function refused(slug: string, data: unknown): Promise<SubmissionError> {
    const result = await submit(slug, data);
    expect(isSubmissionError(result)).to.equal(true);
    expect(await db.count('messages')).to.equal(0);
    return result as SubmissionError;
  }

  function formData(fields: Record<string, string | Blob>): FormData {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    return form;
  }

  it('sends a FormData and learns the redirect address', async () => {
    const result = await submit('contact', formData({ email: 'ada@example.test', message: 'Hello', _gotcha: '' }));
    expect(result.kind).to.equal('success');
    expect((result as SubmissionSuccess).next).to.match(/^https:\/\/forms\.example\.test\/thanks\?receipt=RW-/);
    expect(await db.count('messages')).to.equal(1);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
  });

  it('sends a form without message or address, and it is stored', async () => {
    const sent = await submit('contact', formData({ email: 'ada@example.test', topic: 'Sales' }));
    expect(sent.kind).to.equal('success');
    expect((await submit('contact', { topic: 'Sales', _subject: '' })).kind).to.equal('success');
    expect(await db.query('select sender_id is null as has_no_sender from messages order by id')).to.deep.equal([
      { has_no_sender: false },
      { has_no_sender: true },
    ]);
  });

  it('sends an object, with _next to one of our sites', async () => {
    const result = await submit('contact', submission({ _next: 'https://site.example.test/danke' }));
    expect((result as SubmissionSuccess).next).to.equal('https://site.example.test/danke');
  });

  it('shows each error at its field, with a code that the client knows', async () => {
    const error = await refused('strict', { email: 'ada@', name: '' });
    expect(error.getAllFieldErrors()).to.deep.equal([
      ['email', [{ code: 'TYPE_EMAIL', message: 'must be a single e-mail address, like ada@example.com' }]],
      ['message', [{ code: 'REQUIRED_FIELD_MISSING', message: 'is required' }]],
    ]);
    const blank = await refused('strict', formData({ _replyto: 'ada@', message: ' ' }));
    expect(blank.getFieldErrors('_replyto')[0]?.code).to.equal('TYPE_EMAIL');
    expect(blank.getFieldErrors('message')[0]?.code).to.equal('REQUIRED_FIELD_EMPTY');
    const long = await refused('contact', submission({ name: 'x'.repeat(201) }));
    expect(long.getFieldErrors('name')).to.deep.equal([
      { code: 'UNSPECIFIED', message: 'must be no longer than 200 characters' },
    ]);
    const list = await refused('contact', submission({ company: ['a', 1] }));
    expect(list.getFieldErrors('company')[0]?.code).to.equal('TYPE_TEXT');
    const file = await refused('contact', formData({ email: 'ada@example.test', message: 'x', cv: new Blob(['x']) }));
    expect(file.getFieldErrors('cv')[0]?.message).to.equal('must be text; files are not accepted');
  });

  it('shows errors about the whole form above it', async () => {
    expect((await refused('contact', {})).getFormErrors()).to.deep.equal([
      { code: 'EMPTY', message: 'The form is empty.' },
    ]);
    expect((await refused('contact', { topic: ' ', _gotcha: '' })).getFormErrors()).to.deep.equal([
      { code: 'EMPTY', message: 'The form is empty.' },
    ]);
    expect((await refused('nowhere', submission())).getFormErrors()).to.deep.equal([
      {
        code: 'FORM_NOT_FOUND',
        message: `This form does not work. The form that its page sends to does not exist. ${tellOwner}`,
      },
    ]);
    expect((await refused('closed', submission())).getFormErrors()).to.deep.equal([
      { code: 'INACTIVE', message: `This form is closed. It accepts no more messages. ${tellOwner}` },
    ]);
    const fields = Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`f${i}`, 'x']));
    expect((await refused('contact', submission(fields))).getFormErrors()[0]?.message).to.match(/no more than 30/);
    expect((await refused('contact', submission({ a: 'x'.repeat(70_000) }))).getFormErrors()[0]?.message).to.match(
      /^Your message is too long\./,
    );
  });

  it('shows server errors as ours, in a body that it understands', async () => {
    await db.query('alter table messages rename column content to content_away');
    try {
      const error = await refused('contact', submission());
      expect(error.getFormErrors()[0]?.code).to.equal('UNSPECIFIED');
      expect(error.getFormErrors()[0]?.message).to.include(
        'Your message may not have been stored. The fault is on our side',
      );
    } finally {
      await db.query('alter table messages rename column content_away to content');
    }
  });

  it("may send its headers from another site's page", async () => {
    const asked = await http.send('/f/contact', {
      method: 'OPTIONS',
      headers: {
        Origin: 'https://site.example.test',
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type,formspree-client,formspree-session-data',
      },
    });
    expect(asked.status).to.equal(204);
    expect(asked.headers.get('access-control-allow-headers')?.toLowerCase())
      .to.include('formspree-client')
      .and.include('formspree-session-data')
      .and.include('content-type');
    const refusal = await http.post('/f/contact', submission(), { Origin: 'https://evil.test' });
    expect(refusal.status).to.equal(403);
    expect(refusal.json.errors[0].code).to.equal('BLOCKED');
  });

  it('is optional: a plain HTML form gets a redirect, or a page with its errors', async () => {
    const send = (fields: Record<string, string>) =>
      http.send('/f/contact', {
        method: 'POST',
        headers: { Accept: browserAccept },
        body: new URLSearchParams({ email: 'ada@example.test', message: 'Hello', ...fields }),
      });
    const sent = await send({ _next: 'https://site.example.test/danke' });
    expect([sent.status, sent.headers.get('location')]).to.deep.equal([303, 'https://site.example.test/danke']);
    const refusal = await send({ email: 'ada@' });
    expect([refusal.status, refusal.headers.get('content-type')]).to.deep.equal([422, 'text/html; charset=utf-8']);
    expect(refusal.text).to.include('action="/f/contact"');
  });

  it('gets 405 for GET with the allowed methods, in its own format', async () => {
    const answer = await http.get('/f/contact', { Accept: 'application/json' });
    expect(answer.status).to.equal(405);
    expect(answer.headers.get('allow')).to.equal('POST');
    expect(answer.json.error).to.equal('This address accepts POST.');
  });
});
