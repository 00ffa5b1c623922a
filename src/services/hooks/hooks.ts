import { type EntityManager, UniqueConstraintViolationException } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Form, Hook } from '../../entities/index.ts';
import { checkHookUrl, describeHookUrl, kindOfUrl } from '../../hooks/hook-url.ts';
import { createHookSender } from '../../hooks/https-sender.ts';
import { newHookSecret } from '../../hooks/webhook.ts';
import { Problem } from '../../problems.ts';
import type { HookEvent, HookKind, HookState } from '../../words.ts';
import { databaseNow, dayMs } from '../clock.ts';
import { findFormId } from '../forms/forms.ts';
import { newId } from '../ids.ts';
import { hookChannel } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { openOrNull } from '../sealed-values.ts';
import { composeTest } from './compose-delivery.ts';

/** Each event looks at every hook. */
const maxHooks = 20;

/** Held messages are mostly spam. */
const defaultEvents: HookEvent[] = ['message.accepted', 'message.released', 'email.failed'];

const namePattern = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** The kind comes from the URL's host if it is left out, and `forms` are slugs, or null for all. */
export interface HookSettings extends Partial<Pick<Hook, 'name' | 'kind' | 'state' | 'events' | 'withContent'>> {
  url?: string;
  forms?: string[] | null;
  /** For hosts that the configuration names. */
  allowHttp?: boolean;
  /** The one before it signs for another day. */
  secret?: string;
}

/**
 * Stores a hook. An untested one is told about nothing. Without a name it gets that of its host or kind.
 *
 * @returns also the secret of a signed webhook, which is encrypted from now on.
 * @throws {Problem} argument-invalid, hook-exists, form-unknown
 */
export async function addHook(scope: Scope, given: HookSettings & { url: string; state: HookState }) {
  if ((await scope.em.count(Hook)) >= maxHooks)
    throw new Problem('argument-invalid', `there may be at most ${maxHooks} hooks`);
  const kind = given.kind ?? kindOfUrl(given.url) ?? 'webhook';
  const name = (kind === 'webhook' ? URL.parse(given.url)?.hostname : null) ?? kind;
  const secret = kind === 'webhook' ? { secret: newHookSecret() } : {};
  const blank = { id: newId(), name: '', kind, state: given.state, url: Buffer.of(), events: defaultEvents };
  const hook = scope.em.create(Hook, { ...blank, createdAt: await databaseNow(scope.em) }, { persist: false });
  Object.assign(hook, await readSettings(scope, hook, { name, ...given, ...secret }));
  await store(scope.em.persist(hook), hook);
  return { secret: null, ...secret, ...(await showHook(scope, hook.name)) };
}

/** The given settings, as they are stored. @throws {Problem} form-unknown, argument-invalid */
async function readSettings(scope: Scope, hook: Hook, given: HookSettings): Promise<Partial<Hook>> {
  const { name = hook.name, state, url, events = hook.events, forms, withContent = hook.withContent, secret } = given;
  if (!namePattern.test(name))
    throw new Problem('argument-invalid', 'a name has up to 64 lower-case letters, digits, dots, - and _');
  const changes: Partial<Hook> = { name, events: [...new Set(events)], withContent };
  if (forms !== undefined) changes.formIds = forms;
  if (forms) changes.formIds = await Array.fromAsync(new Set(forms), async (slug) => await findFormId(scope, slug));
  if (state !== undefined) changes.state = state;
  if (state !== undefined || url !== undefined) Object.assign(changes, { failingSince: null, quietUntil: null });
  if (url !== undefined) {
    changes.kind = given.kind ?? kindOfUrl(url) ?? hook.kind;
    changes.url = seal(scope, hook, 'url', readUrl(scope, changes.kind, url, given.allowHttp ?? false));
  }
  if (secret === undefined) return changes;
  if (hook.kind !== 'webhook')
    throw new Problem('argument-invalid', `"${name}" has no secret: only signed webhooks have one`);
  const former = hook.secret && seal(scope, hook, 'former_secret', open(scope, hook, 'secret', hook.secret));
  const formerUntil = former && new Date((await databaseNow(scope.em)).getTime() + dayMs);
  return {
    ...changes,
    secret: seal(scope, hook, 'secret', secret),
    formerSecret: former ?? null,
    formerUntil: formerUntil ?? null,
  };
}

/** Two operators may choose the same name at once. @throws {Problem} hook-exists */
async function store(em: EntityManager, { name }: Hook): Promise<void> {
  await em.flush().catch((error: unknown) => {
    if (!(error instanceof UniqueConstraintViolationException)) throw error;
    throw new Problem('hook-exists', `the hook "${name}" already exists: choose another name`);
  });
}

function readUrl({ config }: Scope, kind: HookKind, text: string, allowHttp: boolean): string {
  try {
    return checkHookUrl(kind, text, { allowHosts: config.hookAllowHosts, allowHttp }).href;
  } catch (error) {
    throw new Problem('argument-invalid', (error as Error).message);
  }
}

type Sealed = 'url' | 'secret' | 'former_secret';

function seal({ keyring }: Scope, { id }: Hook, column: Sealed, text: string): Buffer {
  return keyring.seal(text, { table: 'hooks', column, row: id });
}

function open({ keyring }: Scope, { id }: Hook, column: Sealed, sealed: Uint8Array): string {
  return keyring.open(sealed, { table: 'hooks', column, row: id });
}

/** @throws {Problem} hook-unknown */
export async function findHook(em: EntityManager, name: string): Promise<Hook> {
  const hook = namePattern.test(name) ? await em.findOne(Hook, { name }, { refresh: true }) : null;
  if (hook === null) throw new Problem('hook-unknown', `there is no hook ${name}`);
  return hook;
}

/** @throws {Problem} hook-unknown */
export async function showHook(scope: Scope, name: string): Promise<HookView> {
  return (await viewHooks(scope, [await findHook(scope.em, name)]))[0] as HookView;
}

export async function listHooks(scope: Scope): Promise<HookView[]> {
  return await viewHooks(scope, await scope.em.find(Hook, {}, { orderBy: { name: 'asc' } }));
}

export type HookView = Awaited<ReturnType<typeof viewHooks>>[number];

/** Hooks as the command line shows them, without what is secret. Times are ISO 8601 in UTC. */
async function viewHooks(scope: Scope, hooks: readonly Hook[]) {
  const forms = await scope.em.find(Form, {}, { fields: ['slug'] });
  const slugs = new Map(forms.map((form) => [form.id, form.slug]));
  const count = await countUnsent(scope.em);
  return hooks.map((hook) => ({
    id: hook.id,
    name: hook.name,
    kind: hook.kind,
    state: hook.state,
    /** Only the host: addresses of chat services are secrets. */
    address: openOrNull(() => describeHookUrl(open(scope, hook, 'url', hook.url))),
    events: hook.events,
    forms: hook.formIds?.map((id) => slugs.get(id) ?? '(deleted form)') ?? null,
    withContent: hook.withContent,
    queued: count(hook, 'queued'),
    failed: count(hook, 'failed'),
    failingSince: hook.failingSince?.toISOString() ?? null,
    createdAt: hook.createdAt.toISOString(),
  }));
}

/** Counts deliveries that were not sent. */
export async function countUnsent(em: EntityManager) {
  const rows = await em.execute<{ key: string; n: number }[]>(
    `select hook_id || state as key, count(*)::int as n from hook_deliveries where state in ('queued', 'failed') group by 1`,
  );
  return (hook: Hook, state: 'queued' | 'failed'): number => rows.find(({ key }) => key === hook.id + state)?.n ?? 0;
}

/**
 * Changes a hook and wakes the workers. Two changes follow each other; events, which lock the hook's key, do not wait.
 *
 * @throws {Problem} hook-unknown, hook-exists, form-unknown, argument-invalid
 */
export async function changeHook(scope: Scope, name: string, settings: HookSettings): Promise<HookView> {
  const changed = await inTransaction(scope.em, async (em) => {
    await em.execute('select from hooks where id = ? for no key update', [(await findHook(em, name)).id]);
    const hook = await findHook(em, name);
    Object.assign(hook, await readSettings({ ...scope, em }, hook, settings));
    await store(em, hook);
    await em.execute('select pg_notify(?, ?)', [hookChannel, '']);
    return hook.name;
  });
  return await showHook(scope, changed);
}

/** Makes another secret; both sign for a day. @throws {Problem} hook-unknown, argument-invalid */
export async function rotateSecret(scope: Scope, name: string): Promise<HookView & { secret: string }> {
  const secret = newHookSecret();
  return { ...(await changeHook(scope, name, { secret })), secret };
}

/** Sends a test. A hook that accepts it is active from now on, unless it is paused. @throws {Problem} hook-unknown */
export async function testHook(scope: Scope, name: string) {
  const sender = createHookSender({ allowHosts: scope.config.hookAllowHosts });
  const { result, code = null, reply } = await sender.send(composeTest(scope, await findHook(scope.em, name)));
  const hook = await showHook(scope, name);
  const starts = result === 'accepted' && hook.state !== 'paused';
  return { ...(starts ? await changeHook(scope, name, { state: 'active' }) : hook), test: { result, code, reply } };
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
  const { id } = await changeHook(scope, name, { state: 'gone' });
  while ((await scope.em.execute<unknown[]>(deleteSome, [id])).length > 0);
  await scope.em.nativeDelete(Hook, { id });
}
