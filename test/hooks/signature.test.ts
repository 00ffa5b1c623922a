import { expect } from 'chai';
import { Webhook } from 'standardwebhooks';
import { newHookSecret, webhookRequest } from '../../src/hooks/webhook.ts';

const at = new Date('2026-11-30T08:00:00.123Z');
const event = {
  id: '0199-d1',
  type: 'message.accepted',
  at,
  data: { receipt: 'RW-1', text: 'Grüße, 世界 🌊\u2028.\ud800' },
};

describe('signed webhooks', () => {
  it('are verified by the reference library', () => {
    const secret = newHookSecret();
    const { url, headers, body } = webhookRequest('https://a.example/', event, [secret], new Date());
    expect(url).to.equal('https://a.example/');
    expect(headers).to.include({ 'Content-Type': 'application/json', 'webhook-id': event.id });
    expect(headers['webhook-signature']).to.match(/^v1,[A-Za-z0-9+/]{43}=$/);
    expect(headers['webhook-timestamp']).to.match(/^\d{10}$/);
    const seen = new Webhook(secret).verify(Buffer.from(body), { ...headers });
    expect(seen).to.deep.equal({ type: event.type, timestamp: '2026-11-30T08:00:00.123Z', data: event.data });
    expect(() => new Webhook(secret).verify(`${body} `, { ...headers })).to.throw('No matching signature');
    expect(() => new Webhook(secret).verify(body, { ...headers, 'webhook-id': 'd2' })).to.throw('No matching');
    expect(() => new Webhook(newHookSecret()).verify(body, { ...headers })).to.throw('No matching signature');
  });

  it('sign the second of the attempt', () => {
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const now = new Date(1_614_265_330_999);
    const { headers, body } = webhookRequest('https://a.example/', event, [secret], now);
    expect(headers['webhook-timestamp']).to.equal('1614265330');
    expect(headers['webhook-signature']).to.equal(new Webhook(secret).sign(event.id, now, body));
  });

  it('verify with the old and the new secret during a rotation', () => {
    const [former, current] = [newHookSecret(), newHookSecret()];
    const { headers, body } = webhookRequest('https://a.example/', event, [current, former], new Date());
    expect(headers['webhook-signature']).to.match(/^v1,\S{44} v1,\S{44}$/);
    for (const secret of [former, current]) new Webhook(secret).verify(body, { ...headers });
  });

  it('have secrets of 32 random bytes', () => {
    const secrets = [newHookSecret(), newHookSecret()];
    expect(secrets[0]).to.not.equal(secrets[1]);
    for (const secret of secrets) {
      expect(secret).to.match(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(secret.slice(6), 'base64')).to.have.length(32);
    }
  });
});
