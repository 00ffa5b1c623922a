import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdLock } from '../../database/locks.ts';
import { isOutage, lacksWrites } from '../../database/outage.ts';
import { Alert, Duty } from '../../entities/index.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { databaseNow, dayMs, formatSpan } from '../clock.ts';
import { checkWrites } from '../health/database.ts';
import { openScope } from '../scope.ts';
import { type Condition, conditions, databaseAway } from './conditions.ts';
import { tellOperator } from './tell.ts';

const minuteMs = 60_000;

/** Between the starts of two looks. With the limits of a look itself, every alert is sent within two minutes: decision 116. */
const lookEveryMs = 15_000;

/** A condition that ends sooner is not told: a restart of a mail server or a database. */
const confirmMs = 25_000;

/** Key of the advisory lock of a look. Any constant number would do. */
const lookLock = 7_226_949;

/** What the operator knows about a condition. */
type Told = Pick<Alert, 'since' | 'toldAt' | 'error'>;

const nothingTold: Told = { since: null, toldAt: null, error: null };

/** Looks until `stop` is aborted. Without ALERT_URL and ALERT_TO it does nothing. */
export async function watchConditions(context: MailingContext, stop: AbortSignal): Promise<void> {
  const watch = new Watch(context, stop);
  while (!stop.aborted && (context.config.alertUrl ?? context.config.alertTo) !== undefined) {
    const startedAt = performance.now();
    await watch.look().catch((error: unknown) => context.log.error({ err: error }, 'alerts could not be sent'));
    // Otherwise processes that started together would meet at the lock each time.
    const restMs = lookEveryMs * (0.9 + 0.2 * Math.random()) - (performance.now() - startedAt);
    await sleep(Math.max(1000, restMs), undefined, { signal: stop }).catch(() => {});
  }
}

/** Tells about a condition that two looks have found, once a day while it lasts, and when it has ended. */
export class Watch {
  readonly #context: MailingContext;
  readonly #stop: AbortSignal;
  #away = nothingTold;
  /** Nobody took an alert of this look, so the others wait for the next one. */
  #isUnheard = false;

  constructor(context: MailingContext, stop: AbortSignal) {
    this.#context = context;
    this.#stop = stop;
  }

  async look(): Promise<void> {
    const { log, now } = this.#context;
    this.#isUnheard = false;
    let fact: string | undefined;
    try {
      await this.#lookAtAll();
    } catch (error) {
      log.warn({ err: error }, 'conditions for alerts could not be checked');
      if (!isOutage(error)) return;
      fact = `the database ${lacksWrites(error) ? 'takes no writes' : 'does not answer'}, seen from ${hostname()}`;
    }
    this.#away = await this.#settle(databaseAway, this.#away, fact, now());
  }

  /** Each process asks whether the database takes writes, and one at a time looks at the rest. */
  async #lookAtAll(): Promise<void> {
    const scope = openScope(this.#context, { task: 'alerts' });
    const { em } = scope;
    const now = await databaseNow(em);
    await em.upsert(Duty, { name: 'alerts', doneAt: now });
    await checkWrites(em);
    await using lock = await holdLock(em, lookLock);
    if (lock === undefined) return;
    for (const [name, condition] of Object.entries(conditions)) {
      try {
        const fact = await condition.find(scope, { now, mailer: this.#context.mailer, stop: this.#stop });
        if (this.#stop.aborted) return;
        const told = (await em.findOne(Alert, { condition: name })) ?? nothingTold;
        const next = await this.#settle(condition, told, fact, now);
        if (next !== told) await em.upsert(Alert, { condition: name, ...next });
      } catch (error) {
        scope.log.warn({ err: error, condition: name }, 'a condition could not be checked');
        // If the database went away just now, each of the others would wait for it, and the alert about it for them.
        if (isOutage(error)) await databaseNow(em);
      }
    }
  }

  /** @returns what the operator knows now. A kill before that is written repeats one alert. */
  async #settle(condition: Omit<Condition, 'find'>, told: Told, fact: string | undefined, now: Date): Promise<Told> {
    const { since = null, toldAt = null } = told;
    // A time ahead is from before the clock was set back.
    const last = toldAt !== null && toldAt < now ? toldAt : null;
    if (since === null) return fact === undefined ? told : { since: now, toldAt: last, error: null };
    const isTold = toldAt !== null && toldAt >= since;
    if (fact === undefined && !isTold) return { since: null, toldAt, error: null };
    const lastedMs = Math.max(0, now.getTime() - since.getTime());
    const toldMs = toldAt === null ? dayMs : now.getTime() - toldAt.getTime();
    // Otherwise a condition that comes and goes would tell each time.
    const firstMs = toldMs < 60 * minuteMs ? 15 * minuteMs : confirmMs;
    if (this.#isUnheard || (fact !== undefined && (isTold ? toldMs < dayMs : lastedMs < firstMs))) return told;
    const prefix = fact === undefined ? 'resolved: ' : isTold ? 'still: ' : '';
    const { alert, todo = 'run "ruffinweb health"' } = condition;
    const lines = fact === undefined ? [] : [`Found: ${fact}.`, `To do: ${todo}.`];
    lines.push(`It began ${formatSpan(lastedMs)} ago, at ${since.toISOString().slice(0, 16).replace('T', ' ')} UTC.`);
    const notice = { title: `${prefix}${alert}`, lines, urgent: fact !== undefined };
    const answers = await tellOperator(this.#context, notice, this.#stop);
    this.#context.log.warn({ said: notice.title, answers }, 'alert');
    const failed = answers.filter((it) => !it.isTaken).map(({ from, said }) => `${from}: ${said}`);
    const error = failed.join('; ') || null;
    // One of two addresses is enough.
    this.#isUnheard = failed.length === answers.length;
    if (this.#isUnheard) return this.#stop.aborted ? told : { since, toldAt, error };
    return { since: fact === undefined ? null : since, toldAt: now > since ? now : since, error };
  }
}
