import { createHash, timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import type { Middleware } from 'koa';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Context } from '../../context.ts';
import { Problem } from '../../problems.ts';
import { type MailCounts, readMailCounts } from '../../services/health/mail-counts.ts';
import { attemptOutcomes, pauseCauses } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';

export interface Metrics {
  /** All metrics. */
  readonly registry: Registry;
  /** Counts posts and their outcomes. Must be outside everything that answers. */
  readonly countPosts: Middleware<RequestState>;
  /** `/metrics` if `METRICS_TOKEN` is set, otherwise no route. */
  readonly routes: Router<RequestState>;
}

/**
 * Numbers that answer "am I losing mail?" (Prometheus text format). Each scrape reads the mail from the database, so
 * every instance reports the same; posts are counted per process. Labels contain only this program's own words.
 */
export function createMetrics({ config }: Pick<Context, 'config'>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const posts = new Counter({
    name: 'ruffinweb_posts_total',
    help: 'Posts of forms that this process answered: stored, or the code of the refusal',
    labelNames: ['outcome'],
    registers,
  });
  const mail = mailMetrics(registry);
  posts.inc({ outcome: 'stored' }, 0);

  const startedAt = performance.now();
  let since: Date | undefined;
  let reading: Promise<MailCounts> | undefined;
  const router = new Router<RequestState>();
  const { metricsToken } = config;
  if (metricsToken !== undefined) {
    // Only if they can be scraped: they wake the process a hundred times a second.
    collectDefaultMetrics({ register: registry, prefix: 'ruffinweb_' });
    router.get('/metrics', async (ctx) => {
      if (!isToken(ctx.get('Authorization'), metricsToken.reveal())) {
        ctx.set('WWW-Authenticate', 'Bearer');
        throw new Problem('token-required', 'this route needs the token in METRICS_TOKEN');
      }
      // Simultaneous scrapes share one read, or both would count the same tries.
      reading ??= readMailCounts(ctx.state.scope, since ?? { agoMs: performance.now() - startedAt })
        .then((numbers) => {
          since = numbers.until;
          mail.set(numbers);
          return numbers;
        })
        .finally(() => {
          reading = undefined;
        });
      await reading;
      ctx.set('Content-Type', registry.contentType);
      ctx.body = await registry.metrics();
    });
  }
  return {
    registry,
    routes: router,
    async countPosts(ctx, next) {
      await next();
      if (ctx.method !== 'POST' || !isFormPost(ctx._matchedRoute)) return;
      posts.inc({ outcome: ctx.state.problem ?? 'stored' });
    },
  };
}

/** Whether a route takes posts of forms. `route` is our pattern, not the requested path. */
function isFormPost(route: unknown): boolean {
  return typeof route === 'string' && /^\/(?:api\/(?:messages|message\/?|forms\/.*)|f\/.*)$/.test(route);
}

/** Compares in constant time, whatever the length. */
function isToken(header: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header), digest(`Bearer ${token}`));
}

function mailMetrics(registry: Registry) {
  const registers = [registry];
  const emails = new Gauge({
    name: 'ruffinweb_emails',
    help: 'Unsent emails in the database by kind and state; failed and held ones wait for a person',
    labelNames: ['kind', 'state'],
    registers,
  });
  const oldestDue = new Gauge({
    name: 'ruffinweb_oldest_due_email_seconds',
    help: 'How long the oldest due email has been due; 0 if no email is due',
    registers,
  });
  const held = new Gauge({ name: 'ruffinweb_held_messages', help: 'Messages that are held', registers });
  const oldestHeld = new Gauge({
    name: 'ruffinweb_oldest_held_message_seconds',
    help: 'How long the oldest held message has been held',
    registers,
  });
  const paused = new Gauge({
    name: 'ruffinweb_queue_paused',
    help: '1 while the queue is paused for this cause',
    labelNames: ['cause'],
    registers,
  });
  const tries = new Counter({
    name: 'ruffinweb_tries_total',
    help: 'Finished tries to deliver an email, in any process, since this one started, by result',
    labelNames: ['result'],
    registers,
  });
  const seconds = new Histogram({
    name: 'ruffinweb_send_seconds',
    help: 'Duration of the tries that the mail server accepted',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  for (const result of attemptOutcomes) tries.inc({ result }, 0);
  return {
    set(numbers: MailCounts): void {
      // Kinds, states and causes that only a later release knows come and go.
      emails.reset();
      for (const { kind, state, count } of numbers.emails) emails.set({ kind, state }, count);
      oldestDue.set(numbers.oldestDueSeconds);
      held.set(numbers.heldMessages);
      oldestHeld.set(numbers.oldestHeldSeconds);
      paused.reset();
      for (const cause of pauseCauses) paused.set({ cause }, 0);
      if (numbers.pausedFor !== null) paused.set({ cause: numbers.pausedFor }, 1);
      for (const it of numbers.tries) {
        tries.inc({ result: it.outcome });
        if (it.outcome === 'accepted' && it.seconds !== null) seconds.observe(it.seconds);
      }
    },
  };
}
