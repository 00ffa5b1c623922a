import { createHash, timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import type { Middleware } from 'koa';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Context } from '../../context.ts';
import { Problem } from '../../problems.ts';
import { type Numbers, readNumbers } from '../../services/health/mail-counts.ts';
import { attemptOutcomes, pauseCauses } from '../../words.ts';
import type { RequestState } from '../http/request-scope.ts';

export interface Metrics {
  /** What there is to scrape. */
  readonly registry: Registry;
  /** Counts the posts that pass through it; stands where every answer comes by. */
  readonly countPosts: Middleware<RequestState>;
  /** `/metrics`, where `METRICS_TOKEN` is set; otherwise no route at all. */
  readonly routes: Router<RequestState>;
}

/**
 * Numbers that answer "am I losing mail?" (Prometheus text format). Mail is read from the database at each scrape,
 * so that it is the same whoever delivers; posts are those that this process answered. No label holds anything
 * but words of this program.
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
  let reading: Promise<Numbers> | undefined;
  const router = new Router<RequestState>();
  const { metricsToken } = config;
  if (metricsToken !== undefined) {
    // They wake the process a hundred times a second, which is too much for numbers that nobody can ask for.
    collectDefaultMetrics({ register: registry, prefix: 'ruffinweb_' });
    router.get('/metrics', async (ctx) => {
      if (!isToken(ctx.get('Authorization'), metricsToken.reveal())) {
        ctx.set('WWW-Authenticate', 'Bearer');
        throw new Problem('token-required', 'this route asks for the token in METRICS_TOKEN');
      }
      // Two scrapes at once share one look, or the tries between would be counted by both.
      reading ??= readNumbers(ctx.state.scope, since ?? { agoMs: performance.now() - startedAt })
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

/** The routes that take posts of forms; `route` is a pattern of ours, not what was typed. */
function isFormPost(route: unknown): boolean {
  return typeof route === 'string' && /^\/(?:api\/(?:messages|message\/?|forms\/.*)|f\/.*)$/.test(route);
}

/** In constant time, whatever was given and however long it is. */
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
    help: 'How long the email that has waited longest past its time has waited; 0 where none is due',
    registers,
  });
  const held = new Gauge({ name: 'ruffinweb_held_messages', help: 'Messages that are held', registers });
  const oldestHeld = new Gauge({
    name: 'ruffinweb_oldest_held_message_seconds',
    help: 'How long the message that is held longest has been held',
    registers,
  });
  const paused = new Gauge({
    name: 'ruffinweb_queue_paused',
    help: '1 while no mail is sent for this cause',
    labelNames: ['cause'],
    registers,
  });
  const tries = new Counter({
    name: 'ruffinweb_tries_total',
    help: 'Tries to deliver an email that ended, in any process, since this one started, by result',
    labelNames: ['result'],
    registers,
  });
  const seconds = new Histogram({
    name: 'ruffinweb_send_seconds',
    help: 'How long tries took that the mail server accepted',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  for (const result of attemptOutcomes) tries.inc({ result }, 0);
  return {
    set(numbers: Numbers): void {
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
