/** Only Koa, its router, our parser and field checks, and an answer. Stores nothing. */

import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import type { RequestState } from '../../src/server/http/request-scope.ts';
import { readSubmission } from '../../src/server/posts/read-submission.ts';
import { checkFields } from '../../src/services/intake/check-fields.ts';

const router = new Router<RequestState>();
router.post('/api/messages', async (ctx) => {
  const submission = await readSubmission(ctx, 'contact');
  const { text } = checkFields(submission.values).content;
  ctx.status = 201;
  ctx.body = { id: randomUUID(), receipt: `RW-${text.length}`, receivedAt: new Date().toISOString() };
});

const app = new Koa<RequestState>();
app.use(router.routes());
const server = app.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
process.once('SIGTERM', () => server.close().closeAllConnections());
