import { expect } from 'chai';
import type { CaptchaVerdict } from '../../src/captcha/kinds.ts';
import type { Context } from '../../src/context.ts';
import { Problem } from '../../src/problems.ts';
import type { Submission } from '../../src/services/intake/check-fields.ts';
import { createChallenge } from '../../src/services/intake/guard-submission.ts';
import { type Intake, openIntake } from '../../src/services/intake/intake.ts';
import { submitMessage } from '../../src/services/intake/submit-message.ts';
import { openScope, type Scope } from '../../src/services/scope.ts';
import { openContent } from '../../src/services/sealed-values.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

const settings = {
  MAIL_FROM: 'Site <site@site.test>',
  NOTIFY_TO: 'owner@site.test',
  CAPTCHA: 'turnstile',
  CAPTCHA_SITE_KEY: 'x',
  CAPTCHA_SECRET: 'x',
  ALLOWED_ORIGINS: 'https://site.test',
};

/** The steps from a post to its row, without a door. */
describe('submitMessage', () => {
  let db: TestDatabase;
  let context: Context;
  let intake: Intake;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db, settings);
    await db.query("update forms set captcha = 'none' where slug = 'contact'");
  });
  beforeEach(() => {
    intake = openIntake(context);
  });
  afterEach(async () => {
    await intake[Symbol.asyncDispose]();
    await db.empty();
    await db.query('truncate recent_posts');
    await set(
      "captcha = 'none', message_limit = null, auto_reply = null, recipients = null, closed_at = null, closes_at = null, routes = null, language = null",
    );
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  const set = (what: string) => db.query(`update forms set ${what} where slug = 'contact'`);
  const submission = (values: object = {}, changes: Partial<Submission> = {}): Submission => ({
    formSlug: 'contact',
    values: new Map(Object.entries({ email: 'ada@example.test', message: 'Hello', ...values })),
    clientAddress: '192.0.2.7',
    idempotencyKey: undefined,
    ...changes,
  });
  const submit = async (values: object = {}, changes: Partial<Submission> = {}, scope: Partial<Scope> = {}) =>
    await submitMessage({ ...openScope(context), ...scope }, intake, submission(values, changes));
  /** The code of the refusal. */
  const refusal = async (...args: Parameters<typeof submit>) =>
    await submit(...args).then(
      () => 'accepted',
      (error: unknown) => (error instanceof Problem ? error.code : Promise.reject(error)),
    );
  const captchaOf = async (...args: Parameters<typeof submit>) =>
    await submit(...args).catch((error: unknown) => error instanceof Problem && error.captcha);
  const rows = async () => await db.query('select id, receipt, status, reasons, no_reply from messages order by id');

  it('stores a post with its emails', async () => {
    const { id, receipt, receivedAt, repeated, form } = await submit();
    expect([repeated, form.slug]).to.deep.equal([false, 'contact']);
    expect(receivedAt.getTime()).to.be.closeTo(Date.now(), 60_000);
    expect(await rows()).to.deep.equal([{ id, receipt, status: 'accepted', reasons: [], no_reply: null }]);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
  });

  it('answers repeats with the first answer, and a reused key with a refusal', async () => {
    const first = await submit();
    const again = await submit({ email: 'Ada@example.test' });
    expect(again).to.deep.include({
      id: first.id,
      receipt: first.receipt,
      receivedAt: first.receivedAt,
      repeated: true,
    });
    const key = { idempotencyKey: 'k' };
    const second = await submit({}, key);
    expect(second.id).to.not.equal(first.id);
    expect((await submit({}, key)).id).to.equal(second.id);
    expect(await refusal({ message: 'Other' }, key)).to.equal('idempotency-key-reused');
    for (const it of ['', 'a b', 'ä', 'x'.repeat(256)]) {
      expect(await refusal({}, { idempotencyKey: it })).to.equal('idempotency-key-invalid');
    }
    expect((await submit({ message: 'x' }, { idempotencyKey: 'x'.repeat(255) })).repeated).to.equal(false);
    expect(await db.count('messages')).to.equal(3);
  });

  it('stores posts that arrive together, and repeats among them once', async () => {
    const posts = await Promise.all(Array.from({ length: 20 }, (_, n) => submit({ message: `No ${n % 10}` })));
    expect(new Set(posts.map((it) => it.id)).size).to.equal(10);
    expect(posts.filter((it) => it.repeated)).to.have.lengthOf(10);
    const keyed = await Promise.all(
      Array.from({ length: 9 }, (_, n) => submit({ message: 'Same' }, { idempotencyKey: `key-${n % 3}` })),
    );
    expect(new Set(keyed.map((it) => it.id)).size).to.equal(3);
  });

  it('sends no auto-reply where it must not', async () => {
    await submit({ email: 'owner@site.test' });
    await submit({ email: 'site@site.test' });
    await set("recipients = '{other@site.test}'");
    await submit({ email: 'other@site.test' });
    await set(`routes = '[{"to":["routed@site.test"],"field":"topic","value":"x"}]'`);
    await submit({ email: 'routed@site.test' });
    await submit({ email: undefined }, { takesAnyFields: true });
    await set('auto_reply = false');
    await submit({ email: 'bob@example.test' });
    expect((await rows()).map((it) => it.no_reply)).to.deep.equal([
      'address',
      'address',
      'address',
      'address',
      'no-address',
      'off',
    ]);
    expect(await db.query('select recipient from emails order by id')).to.deep.equal(
      [...Array(2).fill('owner@site.test'), ...Array(4).fill('other@site.test')].map((recipient) => ({ recipient })),
    );
  });

  it('accepts as many messages as its form takes', async () => {
    await set('message_limit = 2');
    const posts = await Promise.all(
      Array.from({ length: 5 }, (_, n) =>
        submit({ message: `No ${n}` }).then(
          (it) => (it.repeated ? 'repeated' : it.receipt),
          (error: Problem) => error.code,
        ),
      ),
    );
    expect(posts.filter((it) => it === 'form-closed')).to.have.lengthOf(3);
    expect(posts).to.not.include('repeated');
    expect(await db.count('messages')).to.equal(2);
    // A repeat is answered, full or not.
    const first = posts.findIndex((it) => it !== 'form-closed');
    expect(await submit({ message: `No ${first}` })).to.include({ receipt: posts[first], repeated: true });
  });

  it("keeps the page's language if the form follows it", async () => {
    const language = async (values: object) => {
      const { id } = await submit(values);
      const [row] = await db.query<{ content: Buffer }>('select content from messages where id = $1', [id]);
      return openContent(context.keyring, { id, content: row?.content as Buffer }).language;
    };
    expect(await language({ _language: 'de' })).to.equal(undefined);
    await set("language = 'auto'");
    expect(await language({ _language: 'de' })).to.equal('de');
    expect(await language({})).to.equal(undefined);
  });

  it('follows changes of the form at once', async () => {
    await submit({ message: '1' });
    expect([...intake.forms.keys()]).to.deep.equal(['contact']);
    await set("recipients = '{new@site.test}'");
    await submit({ message: '2' });
    const told = await db.query('select recipient from emails where recipient is not null order by id');
    expect(told.map((it) => it.recipient)).to.deep.equal(['owner@site.test', 'new@site.test']);
    await set('closed_at = now()');
    expect(await refusal({ message: '3' })).to.equal('form-closed');
    expect([...intake.forms.keys()]).to.deep.equal([]);
    await set('closed_at = null');
    expect(await refusal({ message: '4' })).to.equal('accepted');
    await set("closes_at = now() + interval '1 hour'");
    await submit({ message: '5' });
    const later = { now: () => new Date(Date.now() + 7_200_000) };
    expect(await refusal({ message: '6' }, {}, later)).to.equal('form-closed');
    expect(await refusal({}, { formSlug: 'none' })).to.equal('form-unknown');
    expect(await refusal({ email: 'x' })).to.equal('fields-invalid');
    expect(await refusal({}, { origin: 'https://evil.test' })).to.equal('origin-refused');
  });

  describe('with a captcha', () => {
    let asked: [solution: string, given: object][] = [];
    beforeEach(async () => {
      asked = [];
      await set("captcha = 'turnstile'");
    });
    const answering = (verdict: CaptchaVerdict | undefined): Partial<Scope> => {
      const check = async (solution: string, given: object) => {
        asked.push([solution, given]);
        return verdict as CaptchaVerdict;
      };
      return { captchas: { ...context.captchas, of: () => (verdict && { check }) as never } };
    };
    const solved = { 'cf-turnstile-response': 's' };
    const page = (hostname?: string, action?: string) => answering({ result: 'passed', page: { hostname, action } });

    it('lets in who solved it', async () => {
      expect(await refusal(solved, {}, answering({ result: 'passed' }))).to.equal('accepted');
      expect(asked).to.deep.equal([['s', { formSlug: 'contact', clientAddress: '192.0.2.7' }]]);
      expect(await refusal({ message: '2' }, {}, answering({ result: 'passed' }))).to.equal('captcha-required');
      expect(await captchaOf({ message: '2' }, {}, answering({ result: 'passed' }))).to.equal('turnstile');
      for (const it of ['', ' ', 5]) {
        const values = { message: '2', 'cf-turnstile-response': it };
        expect(await refusal(values, {}, answering({ result: 'passed' }))).to.equal('captcha-required');
      }
      const wrong = { ...solved, message: '2' };
      expect(await refusal(wrong, {}, answering({ result: 'wrong' }))).to.equal('captcha-wrong');
      expect(await captchaOf(wrong, {}, answering({ result: 'wrong' }))).to.equal('turnstile');
      expect(await db.count('messages')).to.equal(1);
      // A repeat is not asked again.
      expect((await submit(solved, {}, answering({ result: 'wrong' }))).repeated).to.equal(true);
    });

    it('holds the post if nobody can check it', async () => {
      await submit({ ...solved, message: '1' }, {}, answering({ result: 'unavailable' }));
      await submit({ ...solved, message: '2' }, {}, answering(undefined));
      await submit({ ...solved, message: '3', _gotcha: 'x' }, {}, answering({ result: 'passed' }));
      expect((await rows()).map(({ status, reasons }) => [status, reasons])).to.deep.equal([
        ['held', ['captcha-unavailable']],
        ['held', ['captcha-unavailable']],
        ['held', ['honeypot']],
      ]);
    });

    it('takes a solution once', async () => {
      const use = { id: 'one', expiresAt: new Date(Date.now() + 60_000) };
      const scope = answering({ result: 'passed', use });
      const posts = ['1', '2'].map((message) => refusal({ ...solved, message }, {}, scope));
      expect((await Promise.all(posts)).toSorted()).to.deep.equal(['accepted', 'captcha-wrong']);
      expect(await refusal({ ...solved, message: '3' }, {}, scope)).to.equal('captcha-wrong');
    });

    it('takes only solutions from its own pages, for itself', async () => {
      const table: [Partial<Scope>, string][] = [
        [page('site.test', 'contact'), 'accepted'],
        [page('SITE.test', 'Contact'), 'accepted'],
        [page(undefined, 'submit'), 'accepted'],
        [page('evil.test'), 'captcha-wrong'],
        [page('site.test', 'other'), 'captcha-wrong'],
        [page('site.test', 'ſubmit'), 'captcha-wrong'],
        [page(), 'accepted'],
      ];
      const warned: object[] = [];
      const log = { warn: (it: object) => warned.push(it) } as never;
      for (const [n, [scope, expected]] of table.entries()) {
        expect(await refusal({ ...solved, message: `No ${n}` }, {}, { ...scope, log }), `No ${n}`).to.equal(expected);
      }
      expect(warned).to.deep.equal([
        { form: 'contact', hostname: 'evil.test', action: undefined },
        { form: 'contact', hostname: 'site.test', action: 'other' },
        { form: 'contact', hostname: 'site.test', action: 'ſubmit' },
      ]);
    });

    it('is not asked again if the form changed meanwhile', async () => {
      await submit({ ...solved, message: '1' }, {}, answering({ result: 'passed' }));
      await set("recipients = '{new@site.test}'");
      await submit({ ...solved, message: '2' }, {}, answering({ result: 'passed' }));
      expect(asked).to.have.lengthOf(2);
    });

    it('has a challenge only if it is ALTCHA', async () => {
      const challenge = async () =>
        await createChallenge(openScope(context), 'contact').then(
          (it) => Object.keys(it).length > 0,
          (error: Problem) => error.code,
        );
      expect(await challenge()).to.equal('route-unknown');
      await set("captcha = 'altcha'");
      expect(await challenge()).to.equal(true);
    });
  });
});
