import type Router from '@koa/router';
import * as z from 'zod';
import type { Config } from '../../config/config.ts';
import { Problem } from '../../problems.ts';
import { cancelEmail } from '../../services/emails/cancel-emails.ts';
import { listEmails, showEmail } from '../../services/emails/emails.ts';
import { resendEmails } from '../../services/emails/resend-emails.ts';
import { deleteMessage, holdMessage, releaseMessage } from '../../services/messages/change-message.ts';
import { exportMessages } from '../../services/messages/export-messages.ts';
import { listMessages, type MessageFilter, showMessage } from '../../services/messages/messages.ts';
import { eraseSender } from '../../services/senders/erase-sender.ts';
import { exportSender, jsonPieces } from '../../services/senders/export-sender.ts';
import { blockSender, listSenders, showSender, unblockSender } from '../../services/senders/senders.ts';
import { suppressSender, unsuppressSender } from '../../services/senders/suppress-sender.ts';
import { emailKinds, emailStates, messageStatuses, type Need } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';
import type { SharedCounts } from '../limits/shared-counts.ts';
import {
  audit,
  type Ctx,
  forAllForms,
  idOf,
  requireAllForms,
  sendChanged,
  sendPage,
  stream,
  wantsLines,
  withinKey,
  withinOf,
} from './admin-request.ts';
import { moment, readQuery, readSmallBody } from './read-request.ts';
import { keysFor } from './require-key.ts';

/** What the body of a refused request lacks, as the end of the refusal. */
const needWords = {
  again: ': needs {"again":true}',
  'even-older': '',
  'even-so': '',
  release: '',
  close: '',
  closes: '',
} as const satisfies Record<Need, string>;

const pageQuery = { limit: z.coerce.number().exactOptional(), cursor: z.string().exactOptional() };
const filterQuery = { since: moment.exactOptional(), until: moment.exactOptional(), form: z.string().exactOptional() };
const messageQuery = {
  ...filterQuery,
  status: z.enum(messageStatuses).exactOptional(),
  // Proxies log URLs.
  sender: z
    .string()
    .refine((text) => !text.includes('@'), 'use an id, which POST /api/senders/search finds')
    .exactOptional(),
};
const emailQuery = {
  ...filterQuery,
  state: z.enum(emailStates).exactOptional(),
  kind: z.enum(emailKinds).exactOptional(),
};

type Keys = ReturnType<typeof keysFor>;

/** For links to the next page. */
type LinkConfig = Pick<Config, 'publicUrl'>;

/** Adds routes for programs with an API key: what the command line can do to senders, messages and emails. */
export function addAdminRoutes(router: Router<RequestState>, config: LinkConfig, shared?: SharedCounts): void {
  const keys = keysFor(shared);
  addSenderRoutes(router, config, keys);
  addMessageRoutes(router, config, keys);
  addEmailRoutes(router, config, keys);
}

function addSenderRoutes(router: Router<RequestState>, config: LinkConfig, keys: Keys): void {
  const [reads, writes] = [keys('read'), keys('write')];
  router.get('/api/senders', reads, forAllForms, async (ctx) => {
    sendPage(ctx, config, await listSenders(ctx.state.scope, readQuery(ctx, pageQuery)));
  });
  router.get('/api/senders/:id', reads, forAllForms, async (ctx) => {
    ctx.body = await showSender(ctx.state.scope, { id: idOf(ctx) });
  });
  router.patch('/api/senders/:id', writes, forAllForms, changeSender);
  router.delete('/api/senders/:id', writes, forAllForms, async (ctx) => {
    const { messages } = await eraseSender(ctx.state.scope, { id: idOf(ctx) });
    audit(ctx, 'sender-erased', { sender: idOf(ctx), messages });
    ctx.status = 204;
  });
  router.get('/api/senders/:id/export', keys('export'), forAllForms, async (ctx) => {
    const everything = await exportSender(ctx.state.scope, { id: idOf(ctx) });
    audit(ctx, 'sender-exported', { sender: idOf(ctx) }, 'exported by key');
    stream(ctx, 'application/json', jsonPieces(everything, JSON.stringify));
  });
  // The address is in the body because proxies log URLs.
  router.post('/api/senders/search', reads, forAllForms, async (ctx) => {
    ctx.body = await showSender(ctx.state.scope, await readSmallBody(ctx, { email: z.string() }));
  });
}

async function changeSender(ctx: Ctx): Promise<void> {
  const { scope } = ctx.state;
  const { blocked, suppressed } = await readSmallBody(ctx, {
    blocked: z.boolean().optional(),
    suppressed: z.boolean().optional(),
  });
  if (blocked === undefined && suppressed === undefined) {
    throw new Problem('argument-invalid', 'the body is not valid: it needs "blocked" or "suppressed"');
  }
  const sender = { id: idOf(ctx) };
  if (blocked !== undefined) {
    await (blocked ? blockSender : unblockSender)(scope, sender);
    audit(ctx, blocked ? 'sender-blocked' : 'sender-unblocked', { sender: sender.id });
  }
  if (suppressed !== undefined) {
    await (suppressed ? suppressSender : unsuppressSender)(scope, sender);
    audit(ctx, suppressed ? 'sender-suppressed' : 'sender-unsuppressed', { sender: sender.id });
  }
  sendChanged(ctx, await showSender(scope, sender), ['blockedAt', 'suppressedAt']);
}

function addMessageRoutes(router: Router<RequestState>, config: LinkConfig, keys: Keys): void {
  const [reads, writes, exports] = [keys('read'), keys('write'), keys('export')];
  const exportIfAsked = async (ctx: Ctx, next: () => Promise<unknown>) => {
    ctx.vary('Accept');
    if (!wantsLines(ctx)) return await next();
    return await exports(ctx, () => sendExport(ctx, withinKey(ctx, readMessageQuery(ctx, messageQuery))));
  };
  router.get('/api/messages', exportIfAsked, reads, async (ctx) => {
    const request = withinKey(ctx, readMessageQuery(ctx, { ...pageQuery, ...messageQuery }));
    sendPage(ctx, config, await listMessages(ctx.state.scope, request));
  });
  router.get('/api/messages/:id', reads, async (ctx) => {
    ctx.body = await showMessage(ctx.state.scope, idOf(ctx), withinOf(ctx));
  });
  router.delete('/api/messages/:id', writes, async (ctx) => {
    const { id } = await deleteMessage(ctx.state.scope, idOf(ctx), withinOf(ctx));
    audit(ctx, 'message-deleted', { message: id });
    ctx.status = 204;
  });
  router.post('/api/messages/:id/hold', writes, async (ctx) => {
    const { id, changed } = await holdMessage(ctx.state.scope, idOf(ctx), withinOf(ctx));
    if (changed) audit(ctx, 'message-held', { message: id });
    sendChanged(ctx, await showMessage(ctx.state.scope, id), ['status']);
  });
  router.post('/api/messages/:id/release', writes, async (ctx) => {
    const { id, changed } = await releaseMessage(ctx.state.scope, idOf(ctx), withinOf(ctx));
    if (changed) audit(ctx, 'message-released', { message: id });
    sendChanged(ctx, await showMessage(ctx.state.scope, id), ['status']);
  });
}

function readMessageQuery<Shape extends typeof messageQuery>(ctx: Ctx, shape: Shape) {
  const query = readQuery(ctx, shape);
  if (ctx.query['sender'] !== undefined) requireAllForms(ctx);
  return query;
}

/** Sends all matching messages, one per line. */
async function sendExport(ctx: Ctx, filter: MessageFilter): Promise<void> {
  const pages = await exportMessages(ctx.state.scope, filter);
  audit(ctx, 'messages-exported', {}, 'exported by key');
  const lines = async function* () {
    for await (const views of pages) {
      yield views.map((view) => `${JSON.stringify(view)}\n`).join('');
    }
  };
  stream(ctx, 'application/jsonl', lines());
}

function addEmailRoutes(router: Router<RequestState>, config: LinkConfig, keys: Keys): void {
  const [reads, writes] = [keys('read'), keys('write')];
  router.get('/api/emails', reads, async (ctx) => {
    const request = withinKey(ctx, readQuery(ctx, { ...pageQuery, ...emailQuery }));
    sendPage(ctx, config, await listEmails(ctx.state.scope, request));
  });
  router.get('/api/emails/:id', reads, async (ctx) => {
    ctx.body = await showEmail(ctx.state.scope, idOf(ctx), withinOf(ctx));
  });
  router.post('/api/emails/:id/resend', writes, async (ctx) => {
    const { again = false } = await readSmallBody(ctx, { again: z.boolean().optional() });
    const { id } = await showEmail(ctx.state.scope, idOf(ctx), withinOf(ctx));
    const [resent] = await resendEmails(ctx.state.scope, { ids: [id], again });
    if (resent === undefined) throw new Problem('email-unknown', 'the email is not there');
    const { code, reason, needs } = resent;
    if (code !== null) throw new Problem(code, `the email ${reason}${needs ? needWords[needs] : ''}`);
    if (resent.result === 'queued') audit(ctx, 'email-resent', { email: id, newEmail: resent.newId ?? undefined });
    ctx.body = resent;
  });
  router.post('/api/emails/:id/cancel', writes, async (ctx) => {
    const { id } = await showEmail(ctx.state.scope, idOf(ctx), withinOf(ctx));
    if (await cancelEmail(ctx.state.scope, id)) audit(ctx, 'email-cancelled', { email: id });
    sendChanged(ctx, await showEmail(ctx.state.scope, id), ['state']);
  });
}
