import { createHmac, randomBytes } from 'node:crypto';
import type { HookRequest } from './hook-sender.ts';

export function newHookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/** A delivery by Standard Webhooks 1.0.0, signed at the time of the attempt with each secret: two during a rotation. */
export function webhookRequest(
  url: string,
  { id, type, at, data }: { id: string; type: string; at: Date; data: unknown },
  secrets: readonly string[],
  now: Date,
): HookRequest {
  const body = JSON.stringify({ type, timestamp: at.toISOString(), data });
  const seconds = Math.floor(now.getTime() / 1000);
  const sign = (secret: string) => {
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`;
  };
  const signature = secrets.map(sign).join(' ');
  const signed = { 'webhook-id': id, 'webhook-timestamp': `${seconds}`, 'webhook-signature': signature };
  return { url, headers: { 'Content-Type': 'application/json', ...signed }, body };
}
