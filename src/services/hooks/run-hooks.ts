import type { MailingContext } from '../../mailing-context.ts';
import { hookKinds } from '../../words.ts';
import { deliverUntilIdle, runDeliveryLoop } from '../delivery/delivery-loop.ts';
import { createNewMailSignal, type NewMailSignal } from '../delivery/new-mail-signal.ts';
import { listOf } from '../ids.ts';
import { openScope } from '../scope.ts';
import { createHookJob } from './hook-job.ts';

/** A notice tells about new deliveries and changed hooks at once. This is for lost notices. */
const pollMs = 5000;

/**
 * Runs a worker for each active hook until `stop` is aborted, so that a slow or dead hook delays no other. Never throws;
 * it waits for an outage to end.
 */
export async function runHooks(
  context: MailingContext,
  news: NewMailSignal,
  stop: AbortSignal,
  hasten?: AbortSignal,
): Promise<void> {
  const running = new Map<string, { wake: NewMailSignal; end: AbortController; ended: Promise<void> }>();
  let isAway = false;
  while (!stop.aborted) {
    const hooks = await readActive(context).catch((error: unknown) => {
      if (!isAway) context.log.error({ err: error }, 'hooks wait: the database does not answer');
    });
    isAway = hooks === undefined;
    for (const hook of hooks ?? []) {
      const { wake, end } = running.get(hook.id) ?? { wake: createNewMailSignal(), end: new AbortController() };
      wake.raise();
      if (running.has(hook.id)) continue;
      const both = AbortSignal.any([stop, end.signal]);
      const ended = runDeliveryLoop(context, createHookJob(context, hook), wake, both, hasten).then(() => {
        running.delete(hook.id);
        news.raise();
      });
      running.set(hook.id, { wake, end, ended });
    }
    for (const [id, { end }] of running) if (hooks?.every((it) => it.id !== id)) end.abort();
    await news.wait(pollMs, stop);
  }
  await Promise.all([...running.values()].map((it) => it.ended));
}

/** Delivers to every hook what is due. @returns how many attempts were made. */
export async function deliverHooksUntilIdle(context: MailingContext, stop: AbortSignal, hasten?: AbortSignal) {
  const jobs = (await readActive(context)).map((hook) => createHookJob(context, hook));
  const tries = await Promise.all(jobs.map((job) => deliverUntilIdle(context, job, stop, { hasten })));
  return tries.reduce((sum, it) => sum + it, 0);
}

async function readActive(context: MailingContext) {
  // A later release may know further kinds.
  const active = `select id, name from hooks where state = 'active' and kind = any(?::text[])`;
  return await openScope(context).em.execute<{ id: string; name: string }[]>(active, [listOf(hookKinds)]);
}
