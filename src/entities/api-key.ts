import { defineEntity, p } from '@mikro-orm/core';

const ApiKeySchema = defineEntity({
  name: 'ApiKey',
  tableName: 'api_keys',
  properties: {
    id: p.uuid().primary(),
    /** The operator's name for the key. */
    name: p.text(),
    /** The public part of the key, by which its row is found. */
    handle: p.string().length(10).unique(),
    /** SHA-256 of the whole key, which is random, so there is nothing to guess. */
    hash: p.blob(),
    scopes: p.array().columnType('text[]'),
    /** Ids of the forms that the key is limited to; empty means all. A form of a revoked or expired key may be gone. */
    forms: p.array().columnType('uuid[]').nullable(),
    expiresAt: p.datetime(3).nullable(),
    revokedAt: p.datetime(3).nullable(),
    /** To the minute. */
    lastUsedAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3).defaultRaw('now()'),
  },
});

/** Lets a program use the HTTP API. The key itself is never stored. */
export class ApiKey extends ApiKeySchema.class {
  isExpired(now: Date): boolean {
    return this.expiresAt != null && this.expiresAt <= now;
  }

  /** @returns whether it was not revoked before. */
  revoke(now: Date): boolean {
    if (this.revokedAt != null) return false;
    this.revokedAt = now;
    return true;
  }
}

ApiKeySchema.setClass(ApiKey);
