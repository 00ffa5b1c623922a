import type { Hook, HookDelivery } from '../../entities/index.ts';
import type { HookRequest } from '../../hooks/hook-sender.ts';
import type { Notice } from '../../hooks/notice.ts';
import { presetRequest } from '../../hooks/presets.ts';
import { webhookRequest } from '../../hooks/webhook.ts';
import { timeWriter } from '../../time-zone.ts';
import { heldInWords } from '../../words.ts';
import { newId } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { type MessageContent, openContent } from '../sealed-values.ts';

/** Of what a visitor wrote, as JSON. So the whole body stays under 20 kB. */
const maxContentBytes = 16_000;

const titles: Record<string, string> = { 'message.held': 'Held message', 'message.released': 'Released message' };

/**
 * Makes the request of a delivery, with the hook's address and secrets of this moment.
 *
 * @param delivery loaded with its message, that with form and sender, and its email.
 * @throws {SealBroken}
 */
export function composeDelivery(scope: Scope, hook: Hook, delivery: HookDelivery): HookRequest {
  const { id, event: type, createdAt: at, message, email } = delivery;
  const form = message && { slug: message.form.slug, name: message.form.name };
  const reasons = type === 'message.held' ? message?.reasons : undefined;
  const failed = email ? { id: email.id, kind: email.kind, failure: email.failure } : undefined;
  const command = email ? `ruffinweb emails show ${email.id}` : `ruffinweb messages show ${message?.receipt}`;
  // A hook may be told about failed mail, but not about held messages.
  const mayShow = hook.withContent && (message?.status === 'accepted' || type === 'message.held');
  const written = mayShow && message ? cutContent(openContent(scope.keyring, message)) : undefined;
  const about = message && { receipt: message.receipt, messageId: message.id, receivedAt: message.receivedAt };
  const data = { ...about, form, reasons, email: failed, command, ...written };
  const what = email ? `Not delivered: ${email.kind}` : (titles[type] ?? 'New message');
  // A phone shows the first lines only.
  const lines = [
    ...(written ? describeWritten(written.content) : []),
    reasons && `Held: ${heldInWords(reasons)}`,
    email?.failure && `Failed: ${email.failure}`,
    timeWriter(scope.config.timeZone)(at),
    command,
  ].filter((it) => it != null);
  const title = message ? `${what} ${message.receipt} at ${message.form.name ?? message.form.slug}` : what;
  return makeRequest(scope, hook, { id, type, at, data }, { title, lines, urgent: type === 'email.failed' });
}

/** A request that only shows whether the hook answers. @throws {SealBroken} */
export function composeTest(scope: Scope, hook: Hook): HookRequest {
  const event = { id: newId(), type: 'test', at: scope.now(), data: { hook: hook.name } };
  return makeRequest(scope, hook, event, {
    title: `Test of the hook ${hook.name}`,
    lines: ['Deliveries arrive here.'],
  });
}

type Event = Parameters<typeof webhookRequest>[1];

function makeRequest({ keyring, now }: Scope, hook: Hook, event: Event, notice: Notice): HookRequest {
  const open = (column: 'url' | 'secret' | 'former_secret', sealed: Uint8Array | null | undefined) =>
    sealed == null ? [] : [keyring.open(sealed, { table: 'hooks', column, row: hook.id })];
  const [url = ''] = open('url', hook.url);
  if (hook.kind !== 'webhook') return presetRequest(hook.kind, url, notice);
  const former = hook.formerUntil != null && hook.formerUntil > now() ? hook.formerSecret : null;
  return webhookRequest(url, event, [...open('secret', hook.secret), ...open('former_secret', former)], now());
}

/** Named as over HTTP. Cuts every text to the same length, so that all of them fit. */
function cutContent({ address: email, name, subject, text: message, extra }: MessageContent) {
  const whole = { email, name, subject, message, extra: Object.fromEntries(extra) };
  for (let max = maxContentBytes; ; max = Math.floor(max * 0.8)) {
    const cut = (_key: string, it: unknown) => (typeof it === 'string' ? it.slice(0, max).toWellFormed() : it);
    const text = JSON.stringify(whole, cut);
    if (max > 0 && Buffer.byteLength(text) > maxContentBytes) continue;
    return { content: JSON.parse(text) as typeof whole, ...(max < maxContentBytes && { truncated: true }) };
  }
}

function describeWritten({ email, name, subject, message, extra }: ReturnType<typeof cutContent>['content']) {
  const fields = Object.entries(extra).map(([field, value]) => `${field}: ${value}`);
  const from = email === undefined ? name : `${name ?? ''} <${email}>`;
  return [from, subject, message || undefined, ...fields, ''];
}
