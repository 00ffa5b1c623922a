import { validate as isUuid } from 'uuid';
import { ApiKey, Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { type KeyScope, keyScopes } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { findFormId } from '../forms/forms.ts';
import { newId } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { handleOfKey, hashKey, isSameKey, makeKeyText } from './key-text.ts';

/** A key as the command line shows it. Times are ISO 8601 in UTC. */
export interface KeyView {
  id: string;
  name: string;
  /** How the key begins, enough to recognise it. */
  beginning: string;
  scopes: string[];
  /** Slugs of the forms that the key is limited to; null for all. */
  forms: string[] | null;
  state: 'active' | 'expired' | 'revoked';
  createdAt: string;
  expiresAt: string | null;
  revokedAt: string | null;
  lastUsedAt: string | null;
}

export interface KeyRequest {
  name: string;
  scopes: readonly string[];
  /** Slugs. */
  forms?: readonly string[];
  expiresAt?: Date;
}

/**
 * Makes a key. The returned `key` is not stored, so it can be shown only now.
 *
 * @throws {Problem} argument-invalid, form-unknown
 */
export async function createKey(scope: Scope, request: KeyRequest): Promise<KeyView & { key: string }> {
  const name = request.name.trim();
  if (name === '' || name.length > 100)
    throw new Problem('argument-invalid', 'a key needs a name of 1 to 100 characters');
  const unknown = request.scopes.find((it) => !(keyScopes as readonly string[]).includes(it));
  if (unknown !== undefined || request.scopes.length === 0) {
    throw new Problem('argument-invalid', `a key needs one or more of these scopes: ${keyScopes.join(', ')}`);
  }
  const now = await databaseNow(scope.em);
  if (request.expiresAt !== undefined && request.expiresAt <= now) {
    throw new Problem('argument-invalid', 'the expiry time is in the past');
  }
  const forms = request.forms?.length ? await Promise.all(request.forms.map((slug) => findFormId(scope, slug))) : null;
  const { text, handle } = makeKeyText();
  const key = scope.em.create(ApiKey, {
    id: newId(),
    name,
    handle,
    hash: hashKey(text),
    scopes: keyScopes.filter((it) => request.scopes.includes(it)),
    forms,
    expiresAt: request.expiresAt ?? null,
    createdAt: now,
  });
  await scope.em.flush();
  return { ...viewKey(key, await slugsOf(scope), now), key: text };
}

/** Every key, the newest first. */
export async function listKeys(scope: Scope): Promise<KeyView[]> {
  const keys = await scope.em.find(ApiKey, {}, { orderBy: { id: 'desc' } });
  const slugs = await slugsOf(scope);
  return keys.map((key) => viewKey(key, slugs, scope.now()));
}

/**
 * @param which the key's id or beginning.
 * @throws {Problem} key-unknown
 */
export async function findKey(scope: Scope, which: string): Promise<KeyView> {
  return viewKey(await findKeyRow(scope, which), await slugsOf(scope), scope.now());
}

/**
 * Revokes a key at once. Its row stays, so log lines can still be matched to it.
 *
 * @param which the key's id or beginning.
 * @throws {Problem} key-unknown
 */
export async function revokeKey(scope: Scope, which: string): Promise<{ key: KeyView; changed: boolean }> {
  const key = await findKeyRow(scope, which);
  const changed = key.revoke(scope.now());
  await scope.em.flush();
  return { key: viewKey(key, await slugsOf(scope), scope.now()), changed };
}

async function findKeyRow(scope: Scope, which: string): Promise<ApiKey> {
  const handle = /^rw_([0-9a-z]{10})(?:_.*)?$/.exec(which)?.[1];
  const where = isUuid(which) ? { id: which } : handle === undefined ? undefined : { handle };
  const key = where === undefined ? null : await scope.em.findOne(ApiKey, where);
  // Do not repeat the argument: it may be a whole key.
  if (key === null) throw new Problem('key-unknown', 'there is no such key');
  return key;
}

/** Which key a request has, and what it may see. */
export interface Admission {
  keyId: string;
  scopes: readonly string[];
  /** Ids of the forms that it may see; undefined for all. */
  within: readonly string[] | undefined;
}

/** The last use of a key is written at most this often. */
const lastUseStepMs = 60_000;

/**
 * Finds the key. `requireScope` then decides whether it allows the request.
 *
 * @throws {Problem} key-required
 */
export async function admitKey(scope: Scope, text: string | undefined): Promise<Admission> {
  const handle = text === undefined ? undefined : handleOfKey(text);
  if (text === undefined || handle === undefined) {
    throw new Problem('key-required', 'send an API key: "Authorization: Bearer rw_…"');
  }
  const key = await scope.em.findOne(ApiKey, { handle });
  if (!isSameKey(text, key?.hash) || key === null || key.revokedAt != null) {
    throw new Problem('key-required', 'this API key does not exist or was revoked');
  }
  if (key.expiresAt != null && key.isExpired(await databaseNow(scope.em))) {
    throw new Problem('key-required', 'this API key has expired');
  }
  const now = scope.now();
  if (key.lastUsedAt == null || now.getTime() - key.lastUsedAt.getTime() >= lastUseStepMs) {
    await scope.em.nativeUpdate(ApiKey, { id: key.id }, { lastUsedAt: now });
  }
  return { keyId: key.id, scopes: key.scopes, within: key.forms ?? undefined };
}

/** The hashes, in hexadecimal, of all keys that are not revoked or expired. */
export async function readKeyHashes(scope: Scope): Promise<ReadonlySet<string>> {
  const keys = await scope.em.find(ApiKey, { revokedAt: null }, { fields: ['hash', 'expiresAt'] });
  const live = keys.filter(({ expiresAt }) => expiresAt == null || expiresAt > scope.now());
  return new Set(live.map(({ hash }) => Buffer.from(hash).toString('hex')));
}

/** @throws {Problem} key-forbidden */
export function requireScope({ scopes }: Admission, wanted: KeyScope): void {
  if (!scopes.includes(wanted)) throw new Problem('key-forbidden', `this API key lacks the scope "${wanted}"`);
}

function viewKey(key: ApiKey, slugs: ReadonlyMap<string, string>, now: Date): KeyView {
  return {
    id: key.id,
    name: key.name,
    beginning: `rw_${key.handle}`,
    scopes: key.scopes,
    forms: key.forms?.map((id) => slugs.get(id) ?? id) ?? null,
    state: key.revokedAt != null ? 'revoked' : key.isExpired(now) ? 'expired' : 'active',
    createdAt: key.createdAt.toISOString(),
    expiresAt: key.expiresAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
  };
}

async function slugsOf(scope: Scope): Promise<Map<string, string>> {
  const forms = await scope.em.find(Form, {}, { fields: ['slug'] });
  return new Map(forms.map((form) => [form.id, form.slug]));
}
