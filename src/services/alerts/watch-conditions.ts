import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdLock } from '../../database/locks.ts';
import { isOutage, lacksWrites } from '../../database/outage.ts';
import { Alert } from '../../entities/index.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { databaseNow, dayMs, formatSpan } from '../clock.ts';
import { openScope } from '../scope.ts';
import { type Condition, conditions, databaseAway } from './conditions.ts';
import { tellOperator } from './tell.ts';

const lookMs = 60_000;

/** Key of the advisory lock of a look. Any constant number would do. */
const lookLock = 7_226_946;

/** A little less than the time between looks, so that the process that looked last does it again. */
const takeDuty = `
  insert into duties (name, done_at) values ('alerts', now())
  on conflict (name) do update set done_at = now() where duties.done_at <= now() - interval '50 seconds'
  returning name`;

/** What the operator knows about a condition. */
type Told = Pick<Alert, 'since' | 'toldAt' | 'error'>;

const nothingTold: Told = { since: null, toldAt: null, error: null };

/** Looks until `stop` is aborted. Without ALERT_URL and ALERT_TO it does nothing. */
export async function watchConditions(context: MailingContext, stop: AbortSignal): Promise<void> {
  const { alertUrl, alertTo } = context.config;
  if (alertUrl === undefined && alertTo === undefined) return;
  const watch = new Watch(context, stop);
  while (!stop.aborted) {
    await watch.look().catch((error: unknown) => context.log.error({ err: error }, 'alerts could not be sent'));
    // Otherwise processes that started together would meet at the lock each time.
    await sleep(lookMs * (0.9 + 0.2 * Math.random()), undefined, { signal: stop }).catch(() => {});
  }
}

/** Tells the operator when a condition was found twice in a row, when it has ended, and once a day while it lasts. */
export class Watch {
  readonly #context: MailingContext;
  readonly #stop: AbortSignal;
  #away = nothingTold;
  /** Otherwise a database that takes no more writes would make each look tell again. */
  readonly #unwritten = new Map<string, Told>();
  /** After failures nothing is sent for a while, longer each time. */
  #failures = 0;
  #quietUntil = 0;

  constructor(context: MailingContext, stop: AbortSignal) {
    this.#context = context;
    this.#stop = stop;
  }

  async look(): Promise<void> {
    let fact: string | undefined;
    try {
      await this.#lookAtAll();
    } catch (error) {
      this.#context.log.warn({ err: error }, 'conditions for alerts could not be checked');
      if (isOutage(error) || lacksWrites(error)) fact = `seen from ${hostname()}, and each server that sees it says so`;
      else return;
    }
    this.#away = await this.#settle(databaseAway, this.#away, fact, this.#context.now());
  }

  /** One process at a time. What belongs to no machine is looked at by the one that takes the duty. */
  async #lookAtAll(): Promise<void> {
    const scope = openScope(this.#context, { task: 'alerts' });
    const { em } = scope;
    await using lock = await holdLock(em, lookLock);
    if (lock === undefined) return;
    const [duty] = await em.execute<unknown[]>(takeDuty);
    const now = await databaseNow(em);
    for (const condition of conditions.filter((it) => it.perMachine || duty)) {
      const name = condition.perMachine ? `${condition.name} ${hostname()}`.slice(0, 128) : condition.name;
      const fact = await condition.find(scope, now, this.#stop).catch((error: unknown) => {
        if (isOutage(error) || lacksWrites(error)) throw error;
        scope.log.warn({ err: error, condition: name }, 'a condition could not be checked');
        return 'it could not be checked: see the log';
      });
      if (this.#stop.aborted) return;
      const row = (await em.findOne(Alert, { condition: name })) ?? nothingTold;
      const next = await this.#settle(condition, this.#unwritten.get(name) ?? row, fact, now);
      if (next === row) continue;
      this.#unwritten.set(name, next);
      await em.upsert(Alert, { condition: name, ...next });
      this.#unwritten.delete(name);
    }
  }

  /** The first look only writes; the second in a row tells. A kill between sending and writing repeats that once. */
  async #settle(condition: Omit<Condition, 'find'>, told: Told, fact: string | undefined, now: Date): Promise<Told> {
    const { since = null, toldAt = null } = told;
    if (since === null) return fact === undefined ? told : { since: now, toldAt, error: null };
    const isTold = toldAt !== null && toldAt >= since;
    if (fact === undefined && !isTold) return { since: null, toldAt, error: null };
    if (fact !== undefined && isTold && now.getTime() - toldAt.getTime() < dayMs) return told;
    if (this.#context.now().getTime() < this.#quietUntil) return told;
    const still = isTold ? 'still: ' : '';
    const said = fact === undefined ? condition.recovered : `${still}${condition.alert}`;
    const span = `It has lasted ${formatSpan(Math.max(0, now.getTime() - since.getTime()))}`;
    const lines = fact === undefined ? [] : [`Found: ${fact}.`, `To do: ${condition.todo}.`];
    const error = await this.#send(said, [...lines, `${span}, at ${now.toISOString()}.`], fact !== undefined);
    if (this.#failures > 0) return this.#stop.aborted ? told : { since, toldAt, error };
    return { since: fact === undefined ? null : since, toldAt: now > since ? now : since, error };
  }

  /** @returns what did not take it, and why. One of two addresses is enough. */
  async #send(said: string, lines: string[], urgent: boolean): Promise<string | null> {
    const title = `${new URL(this.#context.config.publicUrl).host}: ${said}`;
    const answers = await tellOperator(this.#context, { title, lines, urgent }, this.#stop);
    this.#failures = answers.some((it) => it.isTaken) ? 0 : this.#failures + 1;
    const waitMs = this.#failures === 0 ? 0 : Math.min(50_000 * 2 ** (this.#failures - 1), 3_600_000);
    this.#quietUntil = this.#context.now().getTime() + waitMs;
    const error = answers.find((it) => !it.isTaken);
    this.#context.log.warn({ said, answers }, 'alert');
    return error === undefined ? null : `${error.from}: ${error.said}`;
  }
}
