import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { temporaryFolder } from '../support/program.ts';
import { mailerTo, someMail } from '../support/smtp-mail.ts';
import { HookSink } from './full/ledgers/hook-sink.ts';
import { Load, type VisitLine } from './full/ledgers/load.ts';
import { MailSink } from './full/ledgers/mail-sink.ts';

describe('the ledgers', () => {
  const answers: Record<string, [RequestListener, Partial<VisitLine>]> = {
    'a whole 201': [(_, response) => response.writeHead(201).end('{"id":"m1"}'), { answer: 201, id: 'm1' }],
    'a 201 without an id': [(_, response) => response.writeHead(201).end('{}'), { answer: 201 }],
    'a 201 cut in its body, which counts as acknowledged': [
      (_, response) => {
        response.writeHead(201, { 'Content-Length': 100 }).write('{"id":"m1"', () => response.destroy());
      },
      { answer: 201, isCut: true },
    ],
    'a cut before the end of the headers': [
      (_, response) => response.socket?.end('HTTP/1.1 201 Created\r\nContent-Le'),
      { answer: 'none' },
    ],
    'a connection that ends without an answer': [(request) => request.socket.destroy(), { answer: 'none' }],
    'a refusal': [(_, response) => response.writeHead(422).end('{}'), { answer: 422 }],
    'a 503': [(_, response) => response.writeHead(503).end(), { answer: 503 }],
    'a 409': [(_, response) => response.writeHead(409).end('{}'), { answer: 409 }],
  };
  for (const [what, [answer, line]] of Object.entries(answers)) {
    it(`visitors write down ${what}`, async () => {
      await using folder = await temporaryFolder();
      const server = createServer((request, response) => {
        request.resume().on('end', () => answer(request, response));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const load = new Load({
        ...{ urls: [url], rate: 0, forms: { plain: 1 }, random: () => 0.5, canary: 'c' },
        ledgerPath: join(folder.path, 'visits'),
      });
      const visit = load.visit();
      await load.stop();
      await visit;
      const lines = load.ledger.read().map(({ at: _, key, why, ...it }) => it);
      expect(lines).to.deep.equal([{ answer: 'sent', form: 'plain' }, line]);
      expect(load.acknowledged).to.equal(line.answer === 201 ? 1 : 0);
      server.closeAllConnections();
      server.close();
    });
  }

  it('the mail server writes down what it takes, and nothing that it refuses', async () => {
    await using folder = await temporaryFolder();
    await using sink = await MailSink.open(join(folder.path, 'mails'));
    await using mailer = mailerTo(sink);
    const taken = someMail({ to: 'ada@k1.test' });
    sink.answer('dot', '552 no', { to: 'no@k1.test' });
    sink.answer('dot', 'drop', { to: 'cut@k1.test' });
    for (const to of ['no@k1.test', 'cut@k1.test']) await mailer.send(someMail({ to }));
    expect((await mailer.send(taken)).result).to.equal('accepted');
    const lines = sink.ledger.read().map(({ messageId, to, about }) => ({ messageId, to, about }));
    expect(lines).to.deep.equal([{ messageId: taken.internetMessageId, to: ['ada@k1.test'], about: 'k1' }]);
  });

  it('the receiver of hooks writes down what it takes, and nothing that it refuses', async () => {
    await using folder = await temporaryFolder();
    await using sink = await HookSink.open(join(folder.path, 'calls'));
    const call = (id: string) => fetch(sink.url, { method: 'POST', headers: { 'webhook-id': id }, body: id });
    await call('d1');
    sink.status = 500;
    await call('d2');
    expect(sink.ledger.read().map((it) => it.id)).to.deep.equal(['d1']);
  });
});
