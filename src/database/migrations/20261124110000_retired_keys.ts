import { Migration } from '@mikro-orm/migrations';

/** Keys that nothing in this database is encrypted with any more. */
export class RetiredKeys extends Migration {
  override up(): void {
    this.addSql(`create table "retired_keys" (
        "id" varchar(32) not null,
        "canary" bytea not null,
        "retired_at" timestamptz(3) not null default now(),
        primary key ("id")
      )`);
  }

  override down(): void {
    this.addSql(`drop table "retired_keys"`);
  }
}
