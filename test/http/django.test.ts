import { expect } from 'chai';
import type { Client } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi } from '../support/server-here.ts';

const site = 'https://portfolio.example.test';

describe('routes of the Django backend', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;

  before(async () => {
    api = await openApi({ ALLOWED_ORIGINS: site, RATE_LIMIT: '60/1h' });
    ({ db, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  /** The body that the frontend posts to each of the three. */
  const posted = {
    message: 'Hello from the portfolio',
    first_name: 'Ada',
    email: 'Ada@Example.test',
    date: '2026-11-22T08:00:00.000Z',
  };
  const headers = { Origin: site, Accept: 'application/json, text/plain, */*' };

  for (const slash of ['/', '']) {
    it(`store one message for the frontend's three requests, ${slash ? 'with' : 'without'} a slash`, async () => {
      const answers = [];
      for (const path of ['sender', 'message', 'send-email']) {
        answers.push(await http.post(`/api/${path}${slash}`, posted, headers));
        expect(await db.count('messages'), path).to.equal(path === 'sender' ? 0 : 1);
      }

      expect(answers.map((it) => [it.status, it.json])).to.deep.equal([
        [201, { name: 'Ada', email: 'Ada@example.test' }],
        [201, { message: posted.message, message_sender: posted.email, date: posted.date }],
        [202, { detail: 'queued' }],
      ]);
      for (const answer of answers) {
        expect(answer.headers.get('content-type')).to.equal('application/json; charset=utf-8');
        expect(answer.headers.get('access-control-allow-origin')).to.equal(site);
      }
      expect(await db.count('senders')).to.equal(1);
      expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
    });
  }

  it("answer a browser's preflight request", async () => {
    for (const path of ['/api/sender/', '/api/message/', '/api/send-email']) {
      const asked = await http.send(path, {
        method: 'OPTIONS',
        headers: {
          Origin: site,
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'content-type',
        },
      });
      expect([asked.status, asked.headers.get('access-control-allow-origin')]).to.deep.equal([204, site]);
    }
  });

  it('return the time of receipt if no date was posted', async () => {
    const answer = await http.post('/api/message/', { ...posted, date: undefined });
    expect(Math.abs(Date.now() - Date.parse(answer.json.date))).to.be.below(60_000);
  });

  it('reject in the format of Django REST framework, and store nothing', async () => {
    for (const path of ['/api/sender/', '/api/message/']) {
      const faulty = await http.post(path, { email: 'ada', first_name: 'x'.repeat(201), message: '' }, headers);
      expect(faulty.status).to.equal(400);
      expect(faulty.json).to.deep.equal({
        email: ['Enter a valid email address.'],
        message: ['This field is required.'],
        first_name: ['This field must be no longer than 200 characters.'],
      });
      const broken = await http.post(path, '{', headers);
      expect([broken.status, broken.json]).to.deep.equal([400, { detail: 'The body is not valid JSON.' }]);
      const large = await http.post(path, 'x'.repeat(70_000), headers);
      expect([large.status, Object.keys(large.json)]).to.deep.equal([413, ['detail']]);
      const foreign = await http.post(path, posted, { ...headers, Origin: 'https://evil.test' });
      expect([foreign.status, Object.keys(foreign.json)]).to.deep.equal([403, ['detail']]);
    }
    expect(await db.count('messages')).to.equal(0);
  });

  it('answer GET with 405 and say how to list messages now', async () => {
    for (const path of ['/api/sender', '/api/sender/', '/api/message/', '/api/send-email/']) {
      const answer = await http.get(path);
      expect(answer.status).to.equal(405);
      expect(answer.headers.get('allow')).to.equal('POST');
      expect(answer.json.detail).to.include('/api/senders');
    }
  });

  it('answer send-email with "queued", and send nothing', async () => {
    for (const body of [posted, '{', '']) {
      const answer = await http.post('/api/send-email', body, headers);
      expect([answer.status, answer.json]).to.deep.equal([202, { detail: 'queued' }]);
    }
    expect(await db.count('emails')).to.equal(0);
  });

  it('count one stored post for the three requests', async () => {
    const left = async (message: string) => {
      const answer = await http.post('/api/message/', { ...posted, message }, headers);
      return Number(answer.headers.get('x-ratelimit-remaining'));
    };
    const before = await left('The first');
    await http.post('/api/sender/', posted, headers);
    await http.post('/api/send-email', posted, headers);
    expect(await left('The second')).to.equal(before - 1);
  });
});
