import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Form, Hook } from '../../entities/index.ts';
import type { HookSender } from '../../hooks/hook-sender.ts';
import { describeHookUrl } from '../../hooks/hook-url.ts';
import { newHookSecret } from '../../hooks/webhook.ts';
import { Problem } from '../../problems.ts';
import { databaseNow, dayMs } from '../clock.ts';
import { newId } from '../ids.ts';
import { hookChannel } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { openOrNull } from '../sealed-values.ts';
import { composeTest } from './compose-delivery.ts';
import { type HookSettings, namePattern, openOfHook, readSettings, sealForHook } from './hook-settings.ts';

/** Each event looks at every hook. */
const maxHooks = 20;

/**
 * Stores a hook that is told about nothing until it has answered a test.
 *
 * @returns also the secret of a signed webhook, which is encrypted from now on.
 * @throws {Problem} argument-invalid, hook-exists, form-unknown
 */
export async function addHook(scope: Scope, settings: HookSettings & { url: string }) {
  const names = (await scope.em.find(Hook, {}, { fields: ['name'] })).map((it) => it.name);
  if (names.length >= maxHooks) throw new Problem('argument-invalid', `there may be at most ${maxHooks} hooks`);
  const createdAt = await databaseNow(scope.em);
  const blank = { name: '', kind: 'webhook', state: 'untested', url: Buffer.of(), events: [], createdAt } as const;
  const hook = scope.em.create(Hook, { id: newId(), ...blank, events: [] }, { persist: false });
  Object.assign(hook, await readSettings(scope, hook, { events: null, ...settings }));
  const isSigned = hook.kind === 'webhook';
  const host = /[a-z0-9](?:[a-z0-9.-]{0,58}[a-z0-9])?/.exec(new URL(settings.url).hostname)?.[0];
  const base = isSigned && host ? host : hook.kind;
  const free = [base, ...names.map((_, index) => `${base}-${index + 2}`)].find((it) => !names.includes(it));
  hook.name ||= free ?? hook.id;
  const secret = isSigned ? newHookSecret() : null;
  hook.secret = secret === null ? null : sealForHook(scope, hook, 'secret', secret);
  await scope.em.persist(hook).flush();
  return { hook: await showHook(scope, hook.name), secret };
}

/** @throws {Problem} hook-unknown */
export async function findHook(em: EntityManager, name: string): Promise<Hook> {
  const hook = namePattern.test(name) ? await em.findOne(Hook, { name }, { refresh: true }) : null;
  if (hook === null) throw new Problem('hook-unknown', `there is no hook ${name}`);
  return hook;
}

/** @throws {Problem} hook-unknown */
export async function showHook(scope: Scope, name: string): Promise<HookView> {
  const [view] = await viewHooks(scope, [await findHook(scope.em, name)]);
  return view as HookView;
}

export async function listHooks(scope: Scope): Promise<HookView[]> {
  return await viewHooks(scope, await scope.em.find(Hook, {}, { orderBy: { name: 'asc' }, refresh: true }));
}

export type HookView = Awaited<ReturnType<typeof viewHooks>>[number];

/** Hooks as the command line shows them, without what is secret. Times are ISO 8601 in UTC. */
async function viewHooks(scope: Scope, hooks: readonly Hook[]) {
  const forms = await scope.em.find(Form, {}, { fields: ['slug'] });
  const slugs = new Map(forms.map((form) => [form.id, form.slug]));
  const rows = await scope.em.execute<{ hook_id: string; state: string; n: number }[]>(
    `select hook_id, state, count(*)::int as n from hook_deliveries where state in ('queued', 'failed') group by 1, 2`,
  );
  const count = (hook: Hook, state: string) => rows.find((it) => it.hook_id === hook.id && it.state === state)?.n ?? 0;
  return hooks.map((hook) => ({
    id: hook.id,
    name: hook.name,
    kind: hook.kind,
    state: hook.state,
    /** Only the host: addresses of chat services are secrets. */
    address: openOrNull(() => describeHookUrl(openOfHook(scope, hook, 'url') ?? '')),
    events: hook.events,
    forms: hook.formIds?.map((id) => slugs.get(id) ?? '(deleted form)') ?? null,
    withContent: hook.withContent,
    queued: count(hook, 'queued'),
    failed: count(hook, 'failed'),
    failingSince: hook.failingSince?.toISOString() ?? null,
    /** Until then the secret before the last rotation signs too. */
    formerSecretUntil: hook.formerUntil && hook.formerUntil > scope.now() ? hook.formerUntil.toISOString() : null,
    createdAt: hook.createdAt.toISOString(),
  }));
}

/** Changes a hook and wakes the workers. Two changes follow each other; events, which lock the hook's key, do not wait. */
async function updateHook(
  scope: Scope,
  name: string,
  change: (hook: Hook, inside: Scope) => Promise<Partial<Hook>> | Partial<Hook>,
): Promise<HookView> {
  const changed = await inTransaction(scope.em, async (em) => {
    await em.execute('select from hooks where id = ? for no key update', [(await findHook(em, name)).id]);
    const hook = await findHook(em, name);
    Object.assign(hook, await change(hook, { ...scope, em }));
    await em.flush();
    await em.execute('select pg_notify(?, ?)', [hookChannel, '']);
    return hook.name;
  });
  return await showHook(scope, changed);
}

/** @throws {Problem} hook-unknown, hook-exists, form-unknown, argument-invalid */
export async function changeHook(scope: Scope, name: string, settings: HookSettings): Promise<HookView> {
  return await updateHook(scope, name, (hook, inside) => readSettings(inside, hook, settings));
}

/** `active` for any hook; `paused` lets the deliveries of an active one wait. @throws {Problem} hook-unknown, argument-invalid */
export async function setHookState(scope: Scope, name: string, state: 'active' | 'paused'): Promise<HookView> {
  return await updateHook(scope, name, (hook) => {
    if (state === 'paused' && !['active', 'paused'].includes(hook.state))
      throw new Problem('argument-invalid', `the hook "${name}" is ${hook.state}, and told about nothing`);
    return { state, quietUntil: null };
  });
}

/** Makes another secret; both sign for a day. @throws {Problem} hook-unknown, argument-invalid */
export async function rotateSecret(scope: Scope, name: string): Promise<{ hook: HookView; secret: string }> {
  const secret = newHookSecret();
  const hook = await updateHook(scope, name, async (it, { em }) => {
    const former = openOfHook(scope, it, 'secret');
    if (it.kind !== 'webhook' || former === null)
      throw new Problem('argument-invalid', `"${name}" has no secret: only signed webhooks have one`);
    return {
      secret: sealForHook(scope, it, 'secret', secret),
      formerSecret: sealForHook(scope, it, 'former_secret', former),
      formerUntil: new Date((await databaseNow(em)).getTime() + dayMs),
    };
  });
  return { hook, secret };
}

/** Sends a test. A hook that accepts it is active from now on, unless it is paused. @throws {Problem} hook-unknown */
export async function testHook(scope: Scope, sender: HookSender, name: string) {
  const test = await sender.send(composeTest(scope, await findHook(scope.em, name)));
  if (test.result !== 'accepted') return { hook: await showHook(scope, name), test };
  const hook = await updateHook(scope, name, ({ state }) => ({
    state: state === 'paused' ? 'paused' : 'active',
    failingSince: null,
    quietUntil: null,
  }));
  return { hook, test };
}

const deleteSome = `delete from hook_deliveries
  where id in (select id from hook_deliveries where hook_id = ? limit 1000) returning id`;

/**
 * Deletes a hook with its deliveries. It is told about nothing more before the deliveries go, some at a time, so that no
 * post waits for them. If this is stopped, a repetition goes on.
 *
 * @throws {Problem} hook-unknown
 */
export async function removeHook(scope: Scope, name: string): Promise<void> {
  const { id } = await updateHook(scope, name, () => ({ state: 'gone' }));
  while ((await scope.em.execute<unknown[]>(deleteSome, [id])).length > 0);
  await scope.em.nativeDelete(Hook, { id });
}
