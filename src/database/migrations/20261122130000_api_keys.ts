import { Migration } from '@mikro-orm/migrations';

/** Keys that let programs use the HTTP API. */
export class ApiKeys extends Migration {
  override up(): void {
    this.addSql(`create table "api_keys" (
        "id" uuid not null,
        "name" text not null,
        "handle" varchar(10) not null,
        "hash" bytea not null,
        "scopes" text[] not null,
        "forms" uuid[] null,
        "expires_at" timestamptz(3) null,
        "revoked_at" timestamptz(3) null,
        "last_used_at" timestamptz(3) null,
        "created_at" timestamptz(3) not null default now(),
        primary key ("id")
      )`);
    this.addSql(`alter table "api_keys" add constraint "api_keys_handle_unique" unique ("handle")`);
  }

  override down(): void {
    this.addSql(`drop table "api_keys"`);
  }
}
