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
import { audit, type Ctx, forAllForms, given, idOf, sendPage, stream, wantsLines, withinOf } from './admin-request.ts';
import { moment, readQuery, readSmallBody } from './read-request.ts';
import { keysFor } from './require-key.ts';

/** Which member of the body a refused request lacks, as the end of the refusal. */
const needWords = { again: ': needs {"again":true}', 'even-older': '' } as const satisfies Record<Need, string>;

const pageQuery = { limit: z.coerce.number().optional(), cursor: z.string().optional() };
const periodQuery = { since: moment.optional(), until: moment.optional() };
const messageQuery = {
  ...periodQuery,
  form: z.string().optional(),
  status: z.enum(messageStatuses).optional(),
  sender: z.string().optional(),
};
const emailQuery = {
  ...periodQuery,
  form: z.string().optional(),
  state: z.enum(emailStates).optional(),
  kind: z.enum(emailKinds).optional(),
};

/** What the command line can do to senders, messages and emails, for programs that have a key. */
export function addAdminRoutes(
  router: Router<RequestState>,
  config: Pick<Config, 'publicUrl'>,
  shared?: SharedCounts,
): void {
  const keys = keysFor(shared);
  const [reads, writes, exports] = [keys('read'), keys('write'), keys('export')];

  router.get('/api/senders', reads, forAllForms, async (ctx) => {
    sendPage(ctx, config, await listSenders(ctx.state.scope, given(readQuery(ctx, pageQuery))));
  });
  router.get('/api/senders/:id', reads, forAllForms, async (ctx) => {
    ctx.body = await showSender(ctx.state.scope, { id: idOf(ctx) });
  });
  router.patch('/api/senders/:id', writes, forAllForms, async (ctx) => {
    const { blocked, suppressed } = await readSmallBody(ctx, {
      blocked: z.boolean().optional(),
      suppressed: z.boolean().optional(),
    });
    if (blocked === undefined && suppressed === undefined) {
      throw new Problem('argument-invalid', 'the body is not valid: say "blocked" or "suppressed"');
    }
    const which = { id: idOf(ctx) };
    if (blocked !== undefined) {
      await (blocked ? blockSender : unblockSender)(ctx.state.scope, which);
      audit(ctx, blocked ? 'sender-blocked' : 'sender-unblocked', { sender: which.id });
    }
    if (suppressed !== undefined) {
      await (suppressed ? suppressSender : unsuppressSender)(ctx.state.scope, which);
      audit(ctx, suppressed ? 'sender-suppressed' : 'sender-unsuppressed', { sender: which.id });
    }
    ctx.body = await showSender(ctx.state.scope, which);
  });
  router.delete('/api/senders/:id', writes, forAllForms, async (ctx) => {
    const { messages } = await eraseSender(ctx.state.scope, { id: idOf(ctx) });
    audit(ctx, 'sender-erased', { sender: idOf(ctx), messages });
    ctx.status = 204;
  });
  router.get('/api/senders/:id/export', exports, forAllForms, async (ctx) => {
    const everything = await exportSender(ctx.state.scope, { id: idOf(ctx) });
    audit(ctx, 'sender-exported', { sender: idOf(ctx) }, 'exported by key');
    stream(ctx, 'application/json', jsonPieces(everything, JSON.stringify));
  });
  // The address travels in the body: what stands in a URL, proxies write down.
  router.post('/api/senders/search', reads, forAllForms, async (ctx) => {
    ctx.body = await showSender(ctx.state.scope, await readSmallBody(ctx, { email: z.string() }));
  });

  const lines = async (ctx: Ctx, next: () => Promise<unknown>) => {
    ctx.vary('Accept');
    if (!wantsLines(ctx)) return await next();
    return await exports(ctx, () => exportTo(ctx, messageFilterOf(ctx, readQuery(ctx, messageQuery))));
  };
  router.get('/api/messages', lines, reads, async (ctx) => {
    const { limit, cursor, ...filter } = readQuery(ctx, { ...pageQuery, ...messageQuery });
    const request = { ...given({ limit, cursor }), ...messageFilterOf(ctx, filter) };
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
    ctx.body = await showMessage(ctx.state.scope, id);
  });
  router.post('/api/messages/:id/release', writes, async (ctx) => {
    const { id, changed } = await releaseMessage(ctx.state.scope, idOf(ctx), withinOf(ctx));
    if (changed) audit(ctx, 'message-released', { message: id });
    ctx.body = await showMessage(ctx.state.scope, id);
  });

  router.get('/api/emails', reads, async (ctx) => {
    const request = readQuery(ctx, { ...pageQuery, ...emailQuery });
    sendPage(ctx, config, await listEmails(ctx.state.scope, given({ ...request, within: withinOf(ctx) })));
  });
  router.get('/api/emails/:id', reads, async (ctx) => {
    ctx.body = await showEmail(ctx.state.scope, idOf(ctx), withinOf(ctx));
  });
  router.post('/api/emails/:id/resend', writes, async (ctx) => {
    const { again = false } = await readSmallBody(ctx, { again: z.boolean().optional() });
    const { id } = await showEmail(ctx.state.scope, idOf(ctx), withinOf(ctx));
    const [resent] = await resendEmails(ctx.state.scope, { ids: [id], again });
    if (resent === undefined || resent.code !== null) {
      const { code = null, reason, needs } = resent ?? {};
      throw new Problem(
        code ?? 'email-unknown',
        `the email ${reason ?? 'is not there'}${needs ? needWords[needs] : ''}`,
      );
    }
    if (resent.result === 'queued') audit(ctx, 'email-resent', { email: id, newEmail: resent.newId ?? undefined });
    ctx.body = resent;
  });
  router.post('/api/emails/:id/cancel', writes, async (ctx) => {
    const { id } = await showEmail(ctx.state.scope, idOf(ctx), withinOf(ctx));
    if (await cancelEmail(ctx.state.scope, id)) audit(ctx, 'email-cancelled', { email: id });
    ctx.body = await showEmail(ctx.state.scope, id);
  });
}

function messageFilterOf(ctx: Ctx, query: Partial<Record<keyof MessageFilter, unknown>>): MessageFilter {
  const within = withinOf(ctx);
  if (query.sender !== undefined && within !== undefined) {
    throw new Problem('key-forbidden', 'this API key is limited to forms, and senders belong to no form');
  }
  return given({ ...query, within }) as MessageFilter;
}

/** Everything that matches, one message a line. */
async function exportTo(ctx: Ctx, filter: MessageFilter): Promise<void> {
  const pages = await exportMessages(ctx.state.scope, filter);
  audit(ctx, 'messages-exported', {}, 'exported by key');
  const lines = async function* () {
    for await (const views of pages) {
      yield views.map((view) => `${JSON.stringify(view)}\n`).join('');
    }
  };
  stream(ctx, 'application/jsonl', lines());
}
